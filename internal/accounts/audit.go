package accounts

import (
	"context"
	"time"
)

// Entry is a line of the audit log: who did what, and whether it was done. Nothing in
// it is secret.
type Entry struct {
	ID      int64             `json:"id"`
	At      time.Time         `json:"at"`
	Actor   string            `json:"actor"`   // the username, empty where nobody is known
	Address string            `json:"address"` // of the client, empty at a command line
	Action  Action            `json:"action"`
	Subject string            `json:"subject"` // what it was done to, such as a username or a setting
	Outcome Outcome           `json:"outcome"`
	Details map[string]string `json:"details,omitempty"`
}

// Action is what was done.
type Action string

// The actions.
const (
	LogIn          Action = "log_in"
	LogOut         Action = "log_out"
	CreateUser     Action = "create_user"
	DeleteUser     Action = "delete_user"
	ChangePassword Action = "change_password"
	ChangeRole     Action = "change_role"
	ImportUsers    Action = "import_users"
	ExportUsers    Action = "export_users"
	CreateToken    Action = "create_token"
	RevokeToken    Action = "revoke_token"
	ChangeSetting  Action = "change_setting"
	RunJob         Action = "run_job"
	RetryJob       Action = "retry_job"
	CancelJob      Action = "cancel_job"
	TrainModel     Action = "train_model"
	PromoteModel   Action = "promote_model"
)

// Outcome is what became of an action.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Refused Outcome = "refused"
)

// AuditLog keeps what was done.
type AuditLog interface {
	// WriteAudit stores an entry under an ID and an instant of its own.
	WriteAudit(ctx context.Context, e Entry) error
	// Audit returns entries, the newest first, that are older than the one with the
	// ID before, at most limit; 0 begins at the newest.
	Audit(ctx context.Context, before int64, limit int) ([]Entry, error)
}

// EntryOf returns the entry of what a caller did.
func EntryOf(c Caller, action Action, subject string, outcome Outcome, details map[string]string) Entry {
	return Entry{Actor: c.Username, Address: c.Address, Action: action, Subject: subject, Outcome: outcome, Details: details}
}
