package simulator

// Faults are the switches. All are off at first. The names are those of the
// control API.
type Faults struct {
	// What happens to the statuses of what the business sends.
	DropDelivered     bool `json:"drop_delivered"`
	ReadBeforeSent    bool `json:"read_before_sent"`
	NeverRead         bool `json:"never_read"`
	StatusBeforeReply bool `json:"status_before_reply"`
	// StatusDelayMS is added to the time of every status.
	StatusDelayMS int `json:"status_delay_ms"`

	// What happens to webhooks of any kind.
	Duplicate     bool `json:"duplicate"`
	EscapeUnicode bool `json:"escape_unicode"`
	// HidePhones leaves only business-scoped ids, as for people with a username.
	HidePhones bool `json:"hide_phones"`
	// NoProfiles leaves out the profiles of people.
	NoProfiles bool `json:"no_profiles"`
	// SharedApp signs with the secret of [App], as for agencies that have no app
	// of their own; their webhooks to one address may then travel together.
	SharedApp bool `json:"shared_app"`
	// BatchSize makes so many updates travel in one webhook; 0 and 1 mean each
	// goes alone. What does not fill up goes after BatchWaitMS, 200 if 0.
	BatchSize   int `json:"batch_size"`
	BatchWaitMS int `json:"batch_wait_ms"`

	// What happens to a request to send. Times limits how many requests the
	// next four meet; 0 means all.
	Times int `json:"times"`
	// HTTPStatus answers with a bare status, such as 503, and takes nothing.
	HTTPStatus int `json:"http_status"`
	// ErrorCode answers with that error of the Graph API and takes nothing.
	ErrorCode int `json:"error_code"`
	// HangReply takes the message and never answers.
	HangReply bool `json:"hang_reply"`
	// CloseConnection takes the message and breaks the connection.
	CloseConnection bool `json:"close_connection"`

	// What the rules are.
	WindowAsync  bool     `json:"window_async"`
	IgnoreWindow bool     `json:"ignore_window"`
	AllowList    []string `json:"allow_list"`
	PerSecond    int      `json:"per_second"`
	PairBurst    int      `json:"pair_burst"`
	NoPairLimit  bool     `json:"no_pair_limit"`
	SizeAsString bool     `json:"size_as_string"`
}

// FaultHelp explains the switches on the command line.
const FaultHelp = `
Switches of statuses:
  drop_delivered       no delivered, only sent and read
  read_before_sent     read comes first
  never_read           nobody reads
  status_before_reply  sent comes before the request to send is answered
  status_delay_ms=N    every status comes so much later
Switches of webhooks:
  duplicate            every webhook is posted twice
  escape_unicode       letters such as ñ are written \u00f1, and / as \/
  hide_phones          people have no phone number, only a business-scoped id
  no_profiles          webhooks carry no profiles of people
  shared_app           all agencies' webhooks are signed by one shared app
  batch_size=N         so many updates travel in one webhook
  batch_wait_ms=N      but wait no longer than that
Switches of requests to send (times=N limits how many meet them):
  http_status=N        a bare HTTP status, such as 503; nothing is taken
  error_code=N         an error of the Graph API, such as 131016; nothing is taken
  hang_reply           the message is taken, the answer never comes
  close_connection     the message is taken, the connection breaks
Switches of rules:
  window_async         a closed window shows as a failed status, not at once
  ignore_window        anything may be sent at any time
  allow_list=["+54…"]  only these may be written to, Argentines without the 9
  per_second=N         messages a second of one number (80)
  pair_burst=N         messages in a row to one person (45)
  no_pair_limit        no limit to one person
  size_as_string       file sizes come as strings`
