package jobs_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// No test may leave a goroutine behind. One that ended while its database was frozen has
// the library resign as the leader for some seconds more.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		deadline := time.Now().Add(20 * time.Second)
		left := goleak.Find() // which looks again for a while
		for left != nil && time.Now().Before(deadline) {
			left = goleak.Find()
		}
		if left != nil {
			fmt.Fprintln(os.Stderr, left)
			code = 1
		}
	}
	os.Exit(code)
}
