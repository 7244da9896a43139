package dashboard

import (
	"context"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

// Accounts lets people in, and manages them.
type Accounts interface {
	LogIn(ctx context.Context, address, username, password string) (secret string, caller accounts.Caller, err error)
	LogOut(ctx context.Context, by accounts.Caller, secret string) error
}

// Settings reads and changes settings.
type Settings interface {
	List(ctx context.Context) ([]settings.Setting, error)
	Set(ctx context.Context, by accounts.Caller, values map[settings.Name]*string) error
}

// Jobs asks for runs and calls them off.
type Jobs interface {
	RunNow(ctx context.Context, name jobs.Name, task jobs.Task, by string) (jobs.Run, error)
	Retry(ctx context.Context, id int64) (jobs.Run, error)
	Cancel(ctx context.Context, id int64, by string) (jobs.Run, error)
}
