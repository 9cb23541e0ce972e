package simulator

// Faults are the switches. All are off at first. The names are those of the
// control API.
type Faults struct {
	// What the External Request and the live-chat webhook look like.
	// RequestBody is "" for Strato's body, or one seen elsewhere: "text",
	// "flow", "phone" or "unfilled".
	RequestBody string `json:"request_body"`
	// RequestTimeoutS is how long the flow waits for an answer; 0 means 10.
	RequestTimeoutS int  `json:"request_timeout_s"`
	RequestRetry    bool `json:"request_retry"`
	Duplicate       bool `json:"duplicate"`
	NoHeader        bool `json:"no_header"`
	LiveChatAgents  bool `json:"live_chat_agents"`
	LiveChatBare    bool `json:"live_chat_bare"`

	// What answers look like.
	WrapObjects  bool `json:"wrap_objects"`
	BareLists    bool `json:"bare_lists"`
	NumbersAsIDs bool `json:"numbers_as_ids"`
	PayloadOnly  bool `json:"payload_only"`
	ParamsAsMap  bool `json:"params_as_map"`
	OmitMID      bool `json:"omit_mid"`
	MIDInData    bool `json:"mid_in_data"`
	ErrorsAs200  bool `json:"errors_as_200"`
	ErrorsAsHTML bool `json:"errors_as_html"`

	// What the rules are.
	NoTemplatePause bool `json:"no_template_pause"`
	PauseOnSend     bool `json:"pause_on_send"`
	// PauseMinutes is how long a pause by an answer lasts; 0 means 30.
	PauseMinutes int  `json:"pause_minutes"`
	IgnoreWindow bool `json:"ignore_window"`
	// WindowSilent takes what comes outside the window and drops it.
	WindowSilent bool `json:"window_silent"`
	// WindowWords are the words of the refusal outside the window.
	WindowWords      string `json:"window_words"`
	DropDeleteBodies bool   `json:"drop_delete_bodies"`
	NoOverride       bool   `json:"no_override"`
	// HistoryLag is how many reads of the history leave a new message out.
	HistoryLag int  `json:"history_lag"`
	NoHistory  bool `json:"no_history"`
	// HookPerDay is how many calls an inbound webhook takes in 24 hours; 0 means 500.
	HookPerDay   int  `json:"hook_per_day"`
	EmptyBot     bool `json:"empty_bot"`
	NoImageTempl bool `json:"refuse_image_templates"`

	// What happens to requests. Times limits how many meet the next five; 0
	// means all.
	Times int `json:"times"`
	// HTTPStatus answers with a status, and ErrorWords if there are any.
	HTTPStatus int    `json:"http_status"`
	ErrorWords string `json:"error_words"`
	// RetryAfter is that header of a 429: seconds, or "date" for a date.
	RetryAfter string `json:"retry_after"`
	// HangReply and CloseConnection do what is asked and do not answer.
	HangReply       bool `json:"hang_reply"`
	CloseConnection bool `json:"close_connection"`
	// Only says which requests meet them: a part of the path, such as
	// "send-text"; empty means all.
	Only string `json:"only"`
}

// FaultHelp explains the switches on the command line.
const FaultHelp = `
Switches of what UChat tells:
  request_body=NAME      the body of the External Request: text, flow, phone, unfilled
  request_timeout_s=N    a flow waits so long for the answer (10)
  request_retry          a refused External Request is made once more
  duplicate              everything is told twice
  no_header              the flow lacks the secret's header
  live_chat_agents       live chat also tells what agents write
  live_chat_bare         live chat tells neither payload nor time
Switches of answers:
  wrap_objects           single objects come inside "data"
  bare_lists             lists come without "data"
  numbers_as_ids         ids of messages come as strings, ids of people as numbers
  payload_only           texts of the history are in the payload alone
  params_as_map          a template's variables come as an object
  omit_mid, mid_in_data  where the id of a template's message is
  errors_as_200          refusals come as HTTP 200 with status error
  errors_as_html         refusals come as a page
Switches of rules:
  no_template_pause      a template by the API does not pause the bot
  pause_on_send          whatever the API sends pauses the bot
  pause_minutes=N        how long such a pause lasts (30)
  ignore_window          anything may be sent at any time
  window_silent          what comes outside the window is taken and dropped
  window_words=TEXT      the words of the refusal outside the window
  drop_delete_bodies     the body of a DELETE is lost on the way
  no_override            X-HTTP-Method-Override is not understood
  history_lag=N          so many reads of the history lack a new message
  no_history             the key may not read the history
  hook_per_day=N         calls of the inbound webhook in a day (500)
  empty_bot              the bot has no tags, fields, flows or contacts
  refuse_image_templates templates with a picture are refused
Switches of requests (times=N limits how many meet them, only=PART which):
  http_status=N, error_words=TEXT, retry_after=SECONDS|date, hang_reply, close_connection`
