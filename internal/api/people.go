package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Accounts manages users.
type Accounts interface {
	Authenticator
	Create(ctx context.Context, by accounts.Caller, user accounts.NewUser) (accounts.User, error)
	User(ctx context.Context, username string) (accounts.User, error)
	List(ctx context.Context, after string, limit int) ([]accounts.User, error)
	Delete(ctx context.Context, by accounts.Caller, username string) error
	SetRole(ctx context.Context, by accounts.Caller, username string, role accounts.Role) error
	SetPassword(ctx context.Context, by accounts.Caller, username, password string) error
	ChangePassword(ctx context.Context, by accounts.Caller, current, password string) error
	Import(ctx context.Context, by accounts.Caller, file io.Reader, keepGoing bool) (accounts.ImportReport, error)
	Export(ctx context.Context, by accounts.Caller, w io.Writer) error
	CreateToken(ctx context.Context, by accounts.Caller, name string, role accounts.Role, lifetime time.Duration) (string, accounts.Token, error)
	Tokens(ctx context.Context, username string) ([]accounts.Token, error)
	RevokeToken(ctx context.Context, by accounts.Caller, id int64) error
	Audit(ctx context.Context, before int64, limit int) ([]accounts.Entry, error)
	Note(ctx context.Context, by accounts.Caller, action accounts.Action, subject string, details map[string]string) error
}

// username is a name as a client writes it.
type username string

// Schema describes the name, for Huma.
func (username) Schema(huma.Registry) *huma.Schema {
	one, most := 1, 64
	return &huma.Schema{Type: huma.TypeString, MinLength: &one, MaxLength: &most, Examples: []any{"ada"},
		Description: "1 to 64 of a-z, 0-9 and . _ - @, beginning with a letter or digit; capitals are made small."}
}

// password is one as a client writes it. It is in no answer and in no error.
type password string

// Schema describes the password, for Huma.
func (password) Schema(huma.Registry) *huma.Schema {
	most := 256
	return &huma.Schema{Type: huma.TypeString, Format: "password", MaxLength: &most, Examples: []any{"correct horse battery"},
		Description: "10 to 256 bytes, without control characters, not the username."}
}

type user struct {
	Username          string     `json:"username" example:"ada"`
	Email             string     `json:"email" doc:"Empty where none is known." example:"ada@example.org"`
	Role              string     `json:"role" enum:"admin,viewer"`
	CreatedAt         time.Time  `json:"created_at"`
	PasswordChangedAt time.Time  `json:"password_changed_at"`
	LastLoginAt       *time.Time `json:"last_login_at" doc:"When the password was last given, to the minute; null before the first time."`
}

func userOf(u accounts.User) user {
	return user{u.Username, u.Email, string(u.Role), u.CreatedAt.UTC(), u.PasswordChangedAt.UTC(), utcOrNull(u.LastLoginAt)}
}

func utcOrNull(at market.Optional[time.Time]) *time.Time {
	if !at.Valid {
		return nil
	}
	utc := at.Value.UTC()
	return &utc
}

type newUser struct {
	Username username `json:"username"`
	Email    string   `json:"email,omitempty" maxLength:"254" example:"ada@example.org"`
	Password password `json:"password"`
	Role     string   `json:"role,omitempty" enum:"admin,viewer" default:"viewer"`
}

// UserPath names a user. It is exported for Huma, which passes over the fields of an
// embedded type that is not.
type UserPath struct {
	Username username `path:"username" doc:"The user's name."`
}

type userList struct {
	Users      []user  `json:"users" doc:"By name."`
	NextCursor *string `json:"next_cursor" doc:"Give it as cursor for the next page; null where there is none."`
}

type usersInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many at most."`
	Page[userKey]
}

type auditInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many at most."`
	Page[entryKey]
}

type caller struct {
	Username string `json:"username" example:"ada"`
	Role     string `json:"role" enum:"admin,viewer" doc:"What the caller may do, which may be less than the user may: a token's role bounds it."`
	Method   string `json:"method" enum:"session,token,password" doc:"How the caller said who it is."`
}

type token struct {
	ID        int64      `json:"id"`
	Name      string     `json:"name"`
	Role      string     `json:"role" enum:"admin,viewer"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	UsedAt    *time.Time `json:"used_at" doc:"To the minute; null before the first use."`
}

type tokenList struct {
	Tokens []token `json:"tokens" doc:"The newest first."`
}

type newToken struct {
	Token  token  `json:"token"`
	Secret string `json:"secret" doc:"What to send as Bearer. It is shown this once and cannot be found out later."`
}

type tokenRequest struct {
	Name string `json:"name" minLength:"1" maxLength:"100" doc:"What it is for." example:"backup"`
	Role string `json:"role,omitempty" enum:"admin,viewer" default:"viewer" doc:"The most it may do."`
	Days int    `json:"days,omitempty" minimum:"1" maximum:"366" default:"90" doc:"How long it lasts."`
}

func tokenOf(t accounts.Token) token {
	return token{t.ID, t.Name, string(t.Role), t.CreatedAt.UTC(), t.ExpiresAt.UTC(), utcOrNull(t.UsedAt)}
}

type importReport struct {
	Created int         `json:"created"`
	Refused int         `json:"refused"`
	Rows    []importRow `json:"rows"`
}

type importRow struct {
	Line     int    `json:"line" doc:"Where the row begins; the header's is 1."`
	Username string `json:"username" doc:"Empty where it cannot be read."`
	Created  bool   `json:"created"`
	Problem  string `json:"problem,omitempty" doc:"Why it cannot be imported."`
}

func importReportOf(r accounts.ImportReport) importReport {
	answer := importReport{Created: r.Created, Refused: r.Refused, Rows: []importRow{}}
	for _, row := range r.Rows {
		answer.Rows = append(answer.Rows, importRow{row.Line, row.Username, row.Created, row.Problem})
	}
	return answer
}

type importInput struct {
	KeepGoing bool   `query:"keep_going" doc:"Import the rows that can be, beside some that cannot."`
	RawBody   []byte `contentType:"text/csv"`
}

type auditEntry struct {
	ID      int64             `json:"id"`
	At      time.Time         `json:"at"`
	Actor   string            `json:"actor" doc:"Empty where nobody was known."`
	Address string            `json:"address"`
	Action  string            `json:"action" example:"log_in"`
	Subject string            `json:"subject"`
	Outcome string            `json:"outcome" enum:"done,refused"`
	Details map[string]string `json:"details,omitempty"`
}

type auditPage struct {
	Entries    []auditEntry `json:"entries" doc:"The newest first."`
	NextCursor *string      `json:"next_cursor" doc:"Give it as cursor for the next page; null where there is none."`
}

type empty struct{}

// body is an answer.
type body[T any] struct{ Body T }

func answerWith[T any](content T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{content}, nil
}

func registerPeople(api huma.API, people Accounts) {
	tags := []string{"people"}
	register(api, huma.Operation{
		OperationID: "get-me", Method: http.MethodGet, Path: "/v1/me", Tags: tags, Security: forUsers,
		Summary: "Say who I am", Description: "Who the service takes the caller for, and by what.",
	}, func(ctx context.Context, _ *struct{}) (*body[caller], error) {
		by := accounts.CallerOf(ctx)
		return answerWith(caller{by.Username, string(by.Role), string(by.Method)}, nil)
	})
	register(api, huma.Operation{
		OperationID: "change-my-password", Method: http.MethodPost, Path: "/v1/me/password", Tags: tags, Security: forUsers,
		Summary: "Change my password", Description: "Ends all sessions and tokens of the caller.", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusConflict},
	}, func(ctx context.Context, input *struct {
		Body struct {
			Current  password `json:"current"`
			Password password `json:"password"`
		}
	}) (*empty, error) {
		return nil, people.ChangePassword(ctx, accounts.CallerOf(ctx), string(input.Body.Current), string(input.Body.Password))
	})
	register(api, huma.Operation{
		OperationID: "list-my-tokens", Method: http.MethodGet, Path: "/v1/me/tokens", Tags: tags, Security: forUsers,
		Summary: "List my tokens", Description: "Without their secrets, which nobody knows but who made them.",
	}, func(ctx context.Context, _ *struct{}) (*body[tokenList], error) {
		tokens, err := people.Tokens(ctx, accounts.CallerOf(ctx).Username)
		list := tokenList{Tokens: []token{}}
		for _, t := range tokens {
			list.Tokens = append(list.Tokens, tokenOf(t))
		}
		return answerWith(list, err)
	})
	register(api, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/v1/me/tokens", Tags: tags, Security: forUsers,
		Summary: "Make a token", Description: "A token stands for the caller in programs. Its secret is shown once.", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusConflict, http.StatusNotFound},
	}, func(ctx context.Context, input *struct{ Body tokenRequest }) (*body[newToken], error) {
		lifetime := time.Duration(input.Body.Days) * 24 * time.Hour
		secret, t, err := people.CreateToken(ctx, accounts.CallerOf(ctx), input.Body.Name, accounts.Role(input.Body.Role), lifetime)
		return answerWith(newToken{tokenOf(t), secret}, err)
	})
	register(api, huma.Operation{
		OperationID: "revoke-token", Method: http.MethodDelete, Path: "/v1/me/tokens/{id}", Tags: tags, Security: forUsers,
		Summary: "Revoke a token", Description: "It stands for nobody from the next request on.", DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, input *struct {
		ID int64 `path:"id" minimum:"1" doc:"The token's number."`
	}) (*empty, error) {
		return nil, people.RevokeToken(ctx, accounts.CallerOf(ctx), input.ID)
	})

	register(api, huma.Operation{
		OperationID: "list-users", Method: http.MethodGet, Path: "/v1/users", Tags: tags, Security: forAdmins,
		Summary: "List users", Description: "By name, page by page.",
	}, func(ctx context.Context, input *usersInput) (*listed[userList], error) {
		users, err := people.List(ctx, input.Cursor.after.Username, input.Limit+1)
		if err != nil {
			return nil, err
		}
		answer := &listed[userList]{Body: userList{Users: []user{}}}
		users, answer.Body.NextCursor, answer.Link = endPage(&input.Page, users, input.Limit, func(u accounts.User) userKey { return userKey{u.Username} })
		for _, u := range users {
			answer.Body.Users = append(answer.Body.Users, userOf(u))
		}
		return answer, nil
	})
	register(api, huma.Operation{
		OperationID: "create-user", Method: http.MethodPost, Path: "/v1/users", Tags: tags, Security: forAdmins,
		Summary: "Create a user", Description: "Names are kept in small letters, and each is taken once.", DefaultStatus: http.StatusCreated, Errors: []int{http.StatusConflict},
	}, func(ctx context.Context, input *struct{ Body newUser }) (*body[user], error) {
		return createUser(ctx, people, input.Body)
	})
	register(api, huma.Operation{
		OperationID: "get-user", Method: http.MethodGet, Path: "/v1/users/{username}", Tags: tags, Security: forAdmins,
		Summary: "Get a user", Description: "All that is known of a user but the password.", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, input *UserPath) (*body[user], error) {
		u, err := people.User(ctx, string(input.Username))
		return answerWith(userOf(u), err)
	})
	register(api, huma.Operation{
		OperationID: "delete-user", Method: http.MethodDelete, Path: "/v1/users/{username}", Tags: tags, Security: forAdmins,
		Summary: "Delete a user", Description: "Ends the user's sessions and tokens. The last admin cannot be deleted.",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, input *UserPath) (*empty, error) {
		return nil, people.Delete(ctx, accounts.CallerOf(ctx), string(input.Username))
	})
	register(api, huma.Operation{
		OperationID: "set-role", Method: http.MethodPut, Path: "/v1/users/{username}/role", Tags: tags, Security: forAdmins,
		Summary: "Change a user's role", Description: "Holds from the next request on. The last admin stays one.",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, input *struct {
		UserPath
		Body struct {
			Role string `json:"role" enum:"admin,viewer"`
		}
	}) (*empty, error) {
		return nil, people.SetRole(ctx, accounts.CallerOf(ctx), string(input.Username), accounts.Role(input.Body.Role))
	})
	register(api, huma.Operation{
		OperationID: "set-password", Method: http.MethodPut, Path: "/v1/users/{username}/password", Tags: tags, Security: forAdmins,
		Summary: "Give a user another password", Description: "Ends the user's sessions and tokens.",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, input *struct {
		UserPath
		Body struct {
			Password password `json:"password"`
		}
	}) (*empty, error) {
		return nil, people.SetPassword(ctx, accounts.CallerOf(ctx), string(input.Username), string(input.Body.Password))
	})
	registerFor(api, importTimeout, huma.Operation{
		OperationID: "import-users", Method: http.MethodPost, Path: "/v1/users/import", Tags: tags, Security: forAdmins,
		Summary:     "Import users from CSV",
		Description: "A file of up to 1000 users with the columns username, email, password and role. One row that is wrong keeps all others out unless keep_going is given; the answer says of each row what became of it.",
	}, func(ctx context.Context, input *importInput) (*body[importReport], error) {
		return importUsers(ctx, people, input)
	})
	register(api, huma.Operation{
		OperationID: "export-users", Method: http.MethodGet, Path: "/v1/users/export", Tags: tags, Security: forAdmins,
		Summary: "Export users as CSV", Description: "Without passwords. A cell that a spreadsheet would run begins with an apostrophe.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The users.",
			Content:     map[string]*huma.MediaType{csvType: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(ctx context.Context, _ *struct{}) (*struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}, error) {
		var out bytes.Buffer
		if err := people.Export(ctx, accounts.CallerOf(ctx), &out); err != nil {
			return nil, err
		}
		return &struct {
			ContentType string `header:"Content-Type"`
			Body        []byte
		}{csvType, out.Bytes()}, nil
	})
	register(api, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/v1/audit", Tags: tags, Security: forAdmins,
		Summary: "List who did what", Description: "Logins, and what admins did, page by page.",
	}, func(ctx context.Context, input *auditInput) (*listed[auditPage], error) {
		entries, err := people.Audit(ctx, input.Cursor.after.ID, input.Limit+1)
		if err != nil {
			return nil, err
		}
		answer := &listed[auditPage]{Body: auditPage{Entries: []auditEntry{}}}
		entries, answer.Body.NextCursor, answer.Link = endPage(&input.Page, entries, input.Limit, func(e accounts.Entry) entryKey { return entryKey{e.ID} })
		for _, e := range entries {
			answer.Body.Entries = append(answer.Body.Entries, auditEntry{e.ID, e.At.UTC(), e.Actor, e.Address, string(e.Action), e.Subject, string(e.Outcome), e.Details})
		}
		return answer, nil
	})
}

// importTimeout is what the passwords of a file take to be hashed, and some more.
const importTimeout = 50 * time.Second

func createUser(ctx context.Context, people Accounts, n newUser) (*body[user], error) {
	u, err := people.Create(ctx, accounts.CallerOf(ctx), accounts.NewUser{
		Username: string(n.Username), Email: n.Email, Password: string(n.Password), Role: accounts.Role(n.Role),
	})
	return answerWith(userOf(u), err)
}

// importUsers answers with the report also where a row kept all others out: what is
// wrong with each stands among the problem's errors.
func importUsers(ctx context.Context, people Accounts, input *importInput) (*body[importReport], error) {
	report, err := people.Import(ctx, accounts.CallerOf(ctx), bytes.NewReader(input.RawBody), input.KeepGoing)
	if market.ErrorCode(err) == market.Invalid && report.Refused > 0 {
		p := newProblem(ctx, statuses[market.Invalid], market.ErrorMessage(err))
		for _, row := range report.Rows {
			if row.Problem != "" {
				p.Errors = append(p.Errors, problemDetail{Location: "body.line " + itoa(row.Line), Message: row.Problem})
			}
		}
		return nil, p
	}
	return answerWith(importReportOf(report), err)
}
