package failure_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/stratohub/strato/sdk/failure"
)

// The code tells the core what to do, the message the tenant what happened.
func Example() {
	var err error = &failure.Failure{
		Code: failure.RateLimited, RetryAfter: 30 * time.Second, Message: "the number sends too fast", ProviderCode: "130429",
	}
	err = fmt.Errorf("send message: %w", err)

	fmt.Println(err)
	fmt.Println(errors.Is(err, &failure.Failure{Code: failure.RateLimited}))
	if f, ok := errors.AsType[*failure.Failure](err); ok {
		fmt.Println(f.Code, f.RetryAfter)
	}
	// Output:
	// send message: rate_limited (130429): the number sends too fast
	// true
	// rate_limited 30s
}

// New is enough for most.
func ExampleNew() {
	fmt.Println(failure.New(failure.Recipient, "%s has no such account", "the provider"))
	// Output: recipient: the provider has no such account
}
