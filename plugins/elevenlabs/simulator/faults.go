package simulator

// Faults are the switches. All are off at first. The names are those of the
// control API.
type Faults struct {
	// What happens to webhooks.
	WebhookBeforeReply bool `json:"webhook_before_reply"`
	LoseWebhooks       bool `json:"lose_webhooks"`
	Duplicate          bool `json:"duplicate"`
	// Retry is the webhook's setting of that name, which is off at first: only
	// transcriptions are posted again, and only after 5xx, 429 and 408.
	Retry bool `json:"retry"`
	// OTel posts traces in place of transcriptions.
	OTel bool `json:"otel"`
	// Audio also posts the audio, AudioFirst before the transcription.
	Audio      bool `json:"audio"`
	AudioFirst bool `json:"audio_first"`
	// NullAnalysis, NoUserID, OldShape, AnswersAsText and AnswerList are the
	// shapes of a conversation that were seen.
	NullAnalysis  bool `json:"null_analysis"`
	NoUserID      bool `json:"no_user_id"`
	OldShape      bool `json:"old_shape"`
	AnswersAsText bool `json:"answers_as_text"`
	AnswerList    bool `json:"answer_list"`
	// TwoSignatures signs with a secret of another time first, as while a
	// secret is being replaced.
	TwoSignatures bool `json:"two_signatures"`
	// SharedWorkspace signs with the secret of [Workspace], as for agencies that
	// share one.
	SharedWorkspace bool `json:"shared_workspace"`
	// SignedSecondsAgo dates the signature back.
	SignedSecondsAgo int `json:"signed_seconds_ago"`

	// What happens to requests that cost something. Times limits how many
	// requests the next four meet; 0 means all.
	Times int `json:"times"`
	// HTTPStatus answers with a bare status, such as 503, and does nothing.
	HTTPStatus int `json:"http_status"`
	// ErrorStatus answers with that status word of the provider and does nothing.
	ErrorStatus string `json:"error_status"`
	// HangReply does what is asked and never answers.
	HangReply bool `json:"hang_reply"`
	// CloseConnection does what is asked and breaks the connection.
	CloseConnection bool `json:"close_connection"`
	// NewErrors writes every error in the newer shape, PlainErrors as a string.
	NewErrors   bool `json:"new_errors"`
	PlainErrors bool `json:"plain_errors"`

	// What happens to speech.
	NotOgg       bool `json:"not_ogg"`
	BreakStream  bool `json:"break_stream"`
	ChunkPauseMS int  `json:"chunk_pause_ms"`
	Concurrency  int  `json:"concurrency"`
	Quota        int  `json:"quota"`
	HalfPrice    bool `json:"half_price"`
	V3Neighbours bool `json:"v3_neighbours"`
	V3Limit      int  `json:"v3_limit"`

	// What happens to calls.
	SuccessFalse      bool     `json:"success_false"`
	NoConversationID  bool     `json:"no_conversation_id"`
	OverridesFatal    bool     `json:"overrides_fatal"`
	RequiredVariables []string `json:"required_variables"`
	RestrictedKey     bool     `json:"restricted_key"`
	TooEarly          bool     `json:"too_early"`
}

// FaultHelp explains the switches on the command line.
const FaultHelp = `
Switches of webhooks:
  webhook_before_reply   a call's webhook comes before the order is answered
  lose_webhooks          no webhook comes
  duplicate              every webhook is posted twice
  retry                  transcriptions that were refused are posted again
  otel                   traces come in place of transcriptions
  audio                  the audio is posted too
  audio_first            and before the transcription
  null_analysis          conversations come without their analysis
  no_user_id             conversations come without the person's id
  old_shape              conversations are written as before August 2025
  answers_as_text        numbers and truth values are answered in words
  answer_list            answers come as a list only
  two_signatures         a signature of another secret comes first
  shared_workspace       all agencies' webhooks are signed by one workspace
  signed_seconds_ago=N   signatures are that old
Switches of requests to speak and to call (times=N limits how many meet the first four):
  http_status=N          a bare HTTP status, such as 503; nothing is done
  error_status=WORD      an error of the provider, such as system_busy; nothing is done
  hang_reply             it is done, the answer never comes
  close_connection       it is done, the connection breaks
  new_errors             every error is written in the newer shape
  plain_errors           every error is a plain string
Switches of speech:
  not_ogg                Opus comes without its container
  break_stream           the audio breaks off in the middle
  chunk_pause_ms=N       the audio comes so slowly
  concurrency=N          requests at once (5)
  quota=N                characters of the account (100000)
  half_price             half of the characters are charged
  v3_neighbours          eleven_v3 takes the text before and after
  v3_limit=N             characters that eleven_v3 takes (5000)
Switches of calls:
  success_false          an order is refused with HTTP 200
  no_conversation_id     an order is answered without a conversation
  overrides_fatal        a call with overrides does not start, else they are ignored
  required_variables=["nombre"]  a call without these does not start
  restricted_key         the key may not ask for the account
  too_early              conversations cannot be read yet`
