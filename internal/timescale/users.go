package timescale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

const userColumns = "username, email, role, created_at, password_changed_at, last_login_at"

func userFields(u *accounts.User) []any {
	return []any{&u.Username, &u.Email, &u.Role, &u.CreatedAt, &u.PasswordChangedAt, nullable[time.Time]{&u.LastLoginAt}}
}

var errNoUser = market.Errorf(market.NotFound, "there is no such user")

// Credentials implements accounts.Users.
func (d *Database) Credentials(ctx context.Context, username string) (accounts.Credentials, error) {
	var c accounts.Credentials
	err := d.pool.QueryRow(ctx, `SELECT `+userColumns+`, password_hash FROM users WHERE username = $1`, username).
		Scan(append(userFields(&c.User), &c.PasswordHash)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return accounts.Credentials{}, errNoUser
	}
	if err != nil {
		return accounts.Credentials{}, fmt.Errorf("read a user: %w", err)
	}
	return c, nil
}

// Users implements accounts.Users.
func (d *Database) Users(ctx context.Context, after string, limit int) ([]accounts.User, error) {
	rows, _ := d.pool.Query(ctx, `SELECT `+userColumns+` FROM users WHERE username > $1 ORDER BY username LIMIT $2`, after, limit)
	users, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u accounts.User, err error) {
		return u, row.Scan(userFields(&u)...)
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

// ExistingUsers implements accounts.Users.
func (d *Database) ExistingUsers(ctx context.Context, usernames []string) ([]string, error) {
	rows, _ := d.pool.Query(ctx, `SELECT username FROM users WHERE username = ANY($1)`, usernames)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look up users: %w", err)
	}
	return names, nil
}

// CreateUsers implements accounts.UserStore.
func (d *Database) CreateUsers(ctx context.Context, users []accounts.Credentials, entries []accounts.Entry) error {
	// In one order, so that two who make the same users do not wait for each other.
	users = slices.SortedFunc(slices.Values(users), func(a, b accounts.Credentials) int { return strings.Compare(a.Username, b.Username) })
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		batch := new(pgx.Batch)
		taken := ""
		for _, u := range users {
			batch.Queue(`INSERT INTO users (username, email, role, password_hash) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
				u.Username, u.Email, u.Role, u.PasswordHash).Exec(func(created pgconn.CommandTag) error {
				if created.RowsAffected() == 0 {
					taken = u.Username
				}
				return nil
			})
		}
		for _, entry := range entries {
			queueAudit(batch, entry)
		}
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		if taken != "" {
			return market.Errorf(market.Conflict, "there is a user %s already", taken)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create users: %w", err)
	}
	return nil
}

// CreateFirstAdmin implements accounts.UserStore.
func (d *Database) CreateFirstAdmin(ctx context.Context, admin accounts.Credentials, entry accounts.Entry) (bool, error) {
	made := false
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		made = false
		// Those who try at the same time wait for each other; readers do not.
		if _, err := tx.Exec(ctx, `LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		created, err := tx.Exec(ctx, `
			INSERT INTO users (username, email, role, password_hash)
			SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM users WHERE role = 'admin')
			ON CONFLICT (username) DO UPDATE SET (role, password_hash, password_changed_at) = (excluded.role, excluded.password_hash, now())`,
			admin.Username, admin.Email, admin.Role, admin.PasswordHash)
		if err != nil || created.RowsAffected() == 0 {
			return err
		}
		if err := endAccess(ctx, tx, admin.Username); err != nil { // a viewer's of that name
			return err
		}
		made = true
		return writeAudit(ctx, tx, entry)
	})
	if err != nil {
		return false, fmt.Errorf("make the first admin: %w", err)
	}
	return made, nil
}

// HasAdmin implements accounts.UserStore.
func (d *Database) HasAdmin(ctx context.Context) (bool, error) {
	var has bool
	if err := d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM users WHERE role = 'admin')`).Scan(&has); err != nil {
		return false, fmt.Errorf("look for an admin: %w", err)
	}
	return has, nil
}

// DeleteUser implements accounts.UserStore.
func (d *Database) DeleteUser(ctx context.Context, username string, entry accounts.Entry) error {
	return d.changeAdmins(ctx, username, true, entry, `DELETE FROM users WHERE username = $1`, username)
}

// SetRole implements accounts.UserStore.
func (d *Database) SetRole(ctx context.Context, username string, role accounts.Role, entry accounts.Entry) error {
	return d.changeAdmins(ctx, username, role != accounts.Admin, entry, `UPDATE users SET role = $2 WHERE username = $1`, username, role)
}

// changeAdmins changes a user after which there may be an admin fewer.
func (d *Database) changeAdmins(
	ctx context.Context, username string, fewer bool, entry accounts.Entry, statement string, arguments ...any,
) error {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		// Locked, so that of two who remove each other one comes second and sees it.
		rows, _ := tx.Query(ctx, `SELECT username FROM users WHERE role = 'admin' ORDER BY username FOR UPDATE`)
		admins, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if fewer && len(admins) == 1 && admins[0] == username {
			return market.Errorf(market.Conflict, "%s is the last admin: make another one first", username)
		}
		changed, err := tx.Exec(ctx, statement, arguments...)
		if err != nil {
			return err
		}
		if changed.RowsAffected() == 0 {
			return errNoUser
		}
		return writeAudit(ctx, tx, entry)
	})
	if err != nil {
		return fmt.Errorf("change a user: %w", err)
	}
	return nil
}

// SetPassword implements accounts.UserStore.
func (d *Database) SetPassword(ctx context.Context, username, hash, replaces string, entry accounts.Entry) error {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		var before string
		err := tx.QueryRow(ctx, `SELECT password_hash FROM users WHERE username = $1 FOR UPDATE`, username).Scan(&before)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNoUser
		}
		if err != nil {
			return err
		}
		if replaces != "" && replaces != before {
			return market.Errorf(market.Conflict, "the password was changed meanwhile: try again")
		}
		if err := endAccess(ctx, tx, username); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE users SET password_hash = $2, password_changed_at = now() WHERE username = $1`, username, hash)
		if err != nil {
			return err
		}
		return writeAudit(ctx, tx, entry)
	})
	if err != nil {
		return fmt.Errorf("change a password: %w", err)
	}
	return nil
}

// endAccess removes what was entered by with the password before.
func endAccess(ctx context.Context, tx pgx.Tx, username string) error {
	for _, statement := range []string{
		`DELETE FROM sessions WHERE username = $1`, `DELETE FROM tokens WHERE username = $1`,
	} {
		if _, err := tx.Exec(ctx, statement, username); err != nil {
			return err
		}
	}
	return nil
}

// Rehash implements accounts.UserStore.
func (d *Database) Rehash(ctx context.Context, username, hash, replaces string) error {
	_, err := d.pool.Exec(ctx, `UPDATE users SET password_hash = $2 WHERE username = $1 AND password_hash = $3`, username, hash, replaces)
	if err != nil {
		return fmt.Errorf("renew a password's hash: %w", err)
	}
	return nil
}

// NoteLogin implements accounts.UserStore.
func (d *Database) NoteLogin(ctx context.Context, username string) error {
	_, err := d.pool.Exec(ctx, `
		UPDATE users SET last_login_at = now()
		WHERE username = $1 AND (last_login_at IS NULL OR last_login_at < now() - INTERVAL '1 minute')`, username)
	if err != nil {
		return fmt.Errorf("note a login: %w", err)
	}
	return nil
}
