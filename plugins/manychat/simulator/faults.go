package simulator

// Faults are the switches. All are off at first. The names are those of the
// control API. Most stand for what the provider does not document.
type Faults struct {
	// What the step sends.
	//
	// BodyKey is the key under which the contact stands, "contact" if empty;
	// "root" puts it at the root.
	BodyKey string `json:"body_key"`
	// NoChannel leaves out the literal key that names the channel.
	NoChannel bool `json:"no_channel"`
	// NumericID writes ids as numbers.
	NumericID bool `json:"numeric_id"`
	// NullLastInteraction leaves last_interaction null, as seen for WhatsApp.
	NullLastInteraction bool `json:"null_last_interaction"`
	// SamePageID puts the account's number in the place of the page's id.
	SamePageID bool `json:"same_page_id"`
	// StringContact puts the contact between quotes, as a string with JSON.
	StringContact bool `json:"string_contact"`
	// Unescaped is a body written by hand, whose variables are not escaped.
	Unescaped bool `json:"unescaped"`
	// SecretHeader sends the secret in X-Strato-Secret instead of Authorization.
	SecretHeader bool `json:"secret_header"`
	// Secret replaces the secret of the step.
	Secret string `json:"secret"`
	// MediaAs is what a file leaves in last_input_text: nothing, "placeholder" or "url".
	MediaAs string `json:"media_as"`
	// HidePhone leaves the WhatsApp number out, with a business-scoped id instead.
	HidePhone bool `json:"hide_phone"`

	// How the step runs.
	//
	// Duplicate runs the step twice, Retry once more when it failed. Overlap
	// holds a message back until the person's next, whose text both then have.
	Duplicate bool `json:"duplicate"`
	Retry     bool `json:"retry"`
	Overlap   bool `json:"overlap"`
	// TimeoutMS is the step's limit, 10000 if 0.
	TimeoutMS int `json:"timeout_ms"`
	// DynamicBlock makes the step one, whose answer is shown to the person;
	// RefuseEmptyBlock has it fail on an answer without messages.
	DynamicBlock     bool `json:"dynamic_block"`
	RefuseEmptyBlock bool `json:"refuse_empty_block"`

	// What happens to a request of the API. Times limits how many requests the
	// next four meet; 0 means all.
	Times int `json:"times"`
	// HTTPStatus answers with a bare status and a page of HTML, and does nothing.
	HTTPStatus int `json:"http_status"`
	// ErrorCode refuses with that code and does nothing.
	ErrorCode int `json:"error_code"`
	// HangReply acts and never answers; CloseConnection acts and breaks the connection.
	HangReply       bool `json:"hang_reply"`
	CloseConnection bool `json:"close_connection"`

	// What the rules are.
	//
	// DenyImport refuses to create contacts, as for most accounts.
	DenyImport bool `json:"deny_import"`
	// DetailsAsList writes details as a list where an object by field was seen.
	DetailsAsList bool `json:"details_as_list"`
	// FindAsList answers a hit as a list of one.
	FindAsList bool `json:"find_as_list"`
	// RefuseStringIDs takes subscriber_id as a number only, as specified.
	RefuseStringIDs bool `json:"refuse_string_ids"`
	// RefuseTags refuses every message tag.
	RefuseTags bool `json:"refuse_tags"`
	// IgnoreWindow lets everything out; SilentWindow accepts what is outside the
	// window and loses it.
	IgnoreWindow bool `json:"ignore_window"`
	SilentWindow bool `json:"silent_window"`
	// WhatsAppMedia takes files on WhatsApp; MediaCode is the refusal's code, 3041 if 0.
	WhatsAppMedia bool `json:"whatsapp_media"`
	MediaCode     int  `json:"media_code"`
	// LoseColdFlows loses flows to people who never wrote.
	LoseColdFlows bool `json:"lose_cold_flows"`
	// NotPro makes the account one that is not paid.
	NotPro bool `json:"not_pro"`
	// PerSecond replaces the limit of every endpoint, FlowsPerHour that of flows
	// to a person. RateBody is the body of a 429, RetryAfter its header in seconds.
	PerSecond    int    `json:"per_second"`
	FlowsPerHour int    `json:"flows_per_hour"`
	RateBody     string `json:"rate_body"`
	RetryAfter   int    `json:"retry_after"`
}

// FaultHelp explains the switches on the command line.
const FaultHelp = `
Switches of what a step sends:
  body_key=KEY           the contact stands under KEY (contact), or at the root
  no_channel             no literal key names the channel
  numeric_id             ids are numbers
  null_last_interaction  last_interaction is null
  same_page_id           page_id is the account's number
  string_contact         the contact is a string that holds JSON
  unescaped              a body by hand, in which variables are not escaped
  secret_header          the secret is in X-Strato-Secret, not Authorization
  secret=SECRET          the step has another secret
  media_as=KIND          a file leaves nothing, a placeholder or a url
  hide_phone             a business-scoped id instead of the WhatsApp number
Switches of how a step runs:
  duplicate              every step runs twice
  retry                  a step that failed runs once more
  overlap                a message waits for the next, and both have its text
  timeout_ms=N           what a step waits for (10000)
  dynamic_block          the step is a Dynamic Block: its answer is shown
  refuse_empty_block     a Dynamic Block without messages fails
Switches of requests to the API (times=N limits how many meet them):
  http_status=N          a bare HTTP status with HTML; nothing is done
  error_code=N           a refusal with that code; nothing is done
  hang_reply             it is done, the answer never comes
  close_connection       it is done, the connection breaks
Switches of rules:
  deny_import            no contacts are created over the API
  details_as_list        details of refusals come as a list
  find_as_list           who is found comes in a list of one
  refuse_string_ids      subscriber_id must be a number
  refuse_tags            no message tag is allowed
  ignore_window          anything may be sent at any time
  silent_window          what is outside the window is taken and lost
  whatsapp_media         files may be sent on WhatsApp
  media_code=N           the code of their refusal (3041)
  lose_cold_flows        flows to people who never wrote are lost
  not_pro                the account is not paid
  per_second=N           requests a second of every endpoint
  flows_per_hour=N       flows to one person (100)
  rate_body=TEXT         the body of a 429
  retry_after=N          the seconds in its header`
