package accounts

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	// MostImported is how many users a file may hold: each password takes some 30 ms.
	MostImported = 1000
	// MostImportBytes is how long a file may be.
	MostImportBytes = 1 << 20
)

// ImportRow says what became of a row of a file. It never holds a password.
type ImportRow struct {
	Line     int    `json:"line"`     // on which the row begins, the header's is 1
	Username string `json:"username"` // empty where it cannot be read
	Created  bool   `json:"created"`
	Problem  string `json:"problem,omitempty"` // why it is not created
}

// ImportReport says what became of a file.
type ImportReport struct {
	Created int         `json:"created"`
	Refused int         `json:"refused"` // rows that cannot be imported
	Rows    []ImportRow `json:"rows"`    // in the file's order
}

// Import makes users of a CSV file with the columns username, email, password and
// role, in any order, of which email and role may be missing or empty. The times that
// Export writes may stand in it and say nothing of the new users. Unless keepGoing, one
// row that is refused keeps all others out, and the error is Invalid; the report says
// of each row what is wrong. Nothing is ever half-written. The error is a Conflict where
// somebody else makes one of the users meanwhile.
func (s *Service) Import(ctx context.Context, by Caller, file io.Reader, keepGoing bool) (ImportReport, error) {
	rows, err := readUsers(file)
	if err != nil {
		return ImportReport{}, err
	}
	if err := s.refuseTaken(ctx, rows); err != nil {
		return ImportReport{}, err
	}
	report := reportOf(rows)
	if report.Refused > 0 && !keepGoing {
		return report, market.Errorf(market.Invalid, "%d of %d rows cannot be imported, so that none is: mend them, or import the others only",
			report.Refused, len(rows))
	}
	var users []Credentials
	for i := range rows {
		if rows[i].problem == nil {
			users = append(users, rows[i].user)
		}
	}
	if len(users) == 0 {
		return report, nil
	}
	if err := s.hashAll(ctx, rows, users); err != nil {
		return ImportReport{}, err
	}
	entries := []Entry{EntryOf(by, ImportUsers, "", Done, map[string]string{
		"created": strconv.Itoa(len(users)), "refused": strconv.Itoa(report.Refused),
	})}
	for _, u := range users {
		entries = append(entries, created(by, u.User))
	}
	if err := s.store.CreateUsers(ctx, users, entries); err != nil {
		return ImportReport{}, err
	}
	report.Created = len(users)
	for i := range report.Rows {
		report.Rows[i].Created = report.Rows[i].Problem == ""
	}
	return report, nil
}

// userRow is a row of a file.
type userRow struct {
	line     int
	user     Credentials
	password string
	problem  error
}

func reportOf(rows []userRow) ImportReport {
	report := ImportReport{Rows: make([]ImportRow, len(rows))}
	for i, row := range rows {
		report.Rows[i] = ImportRow{Line: row.line, Username: row.user.Username}
		if row.problem != nil {
			report.Refused++
			report.Rows[i].Problem = market.ErrorMessage(row.problem)
		}
	}
	return report
}

// refuseTaken notes of the rows whose names are taken that they are.
func (s *Service) refuseTaken(ctx context.Context, rows []userRow) error {
	var names []string
	for _, row := range rows {
		if row.problem == nil {
			names = append(names, row.user.Username)
		}
	}
	taken, err := s.store.ExistingUsers(ctx, names)
	if err != nil {
		return err
	}
	for i := range rows {
		if rows[i].problem == nil && slices.Contains(taken, rows[i].user.Username) {
			rows[i].problem = market.Errorf(market.Conflict, "there is a user of this name already")
		}
	}
	return nil
}

// hashAll hashes the passwords of the rows that are users, as many at once as there
// are cores.
func (s *Service) hashAll(ctx context.Context, rows []userRow, users []Credentials) error {
	passwords := make([]string, 0, len(users))
	for _, row := range rows {
		if row.problem == nil {
			passwords = append(passwords, row.password)
		}
	}
	var (
		next    atomic.Int64
		working sync.WaitGroup
		failed  = make([]error, runtime.GOMAXPROCS(0))
	)
	for worker := range failed {
		working.Go(func() {
			for failed[worker] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(users) {
					return
				}
				users[i].PasswordHash, failed[worker] = s.hasher.hash(ctx, passwords[i])
			}
		})
	}
	working.Wait()
	return errors.Join(failed...)
}

var (
	userColumns = []string{"username", "email", "password", "role"}
	// exportedTimes are what else Export writes: add a column of passwords to its
	// file, and it can be imported elsewhere.
	exportedTimes = []string{"created_at", "last_login_at"}
)

// readUsers reads a file. The error is Invalid where it cannot be understood from some
// place on; what is wrong with a row alone is noted with the row.
func readUsers(file io.Reader) ([]userRow, error) {
	limited := &io.LimitedReader{R: file, N: MostImportBytes + 1}
	buffered := bufio.NewReader(limited)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\uFEFF" {
		buffered.Discard(3)
	}
	reader := csv.NewReader(buffered)
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, market.Errorf(market.Invalid, "the file is empty: its first line must be %s", strings.Join(userColumns, ","))
	}
	if err != nil {
		return nil, notCSV(err)
	}
	places, err := placesOf(header)
	if err != nil {
		return nil, err
	}
	var rows []userRow
	lines := map[string]int{}
	for {
		fields, err := reader.Read()
		if limited.N == 0 {
			return nil, market.Errorf(market.Invalid, "the file is longer than %d bytes: split it", MostImportBytes)
		}
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, notCSV(err)
		}
		if len(rows) == MostImported {
			return nil, market.Errorf(market.Invalid, "the file has more than %d users: split it", MostImported)
		}
		line, _ := reader.FieldPos(0)
		row := parseUserRow(fields, places, len(header))
		row.line = line
		if first, twice := lines[row.user.Username]; twice && row.problem == nil {
			row.problem = market.Errorf(market.Invalid, "line %d has a user of this name too", first)
		} else if row.problem == nil {
			lines[row.user.Username] = line
		}
		rows = append(rows, row)
	}
}

// notCSV says where a file cannot be understood, without a word of what it holds.
func notCSV(err error) error {
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return market.Errorf(market.Invalid, "line %d, column %d cannot be read as CSV: %v", parse.Line, parse.Column, parse.Err)
	}
	return fmt.Errorf("read a file of users: %w", err)
}

// placesOf returns where each column stands, -1 for one that is missing.
func placesOf(header []string) (map[string]int, error) {
	places := map[string]int{"email": -1, "role": -1} // may be missing
	for place, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(userColumns, name) && !slices.Contains(exportedTimes, name) {
			return nil, market.Errorf(market.Invalid, "column %d of the first line is none of %s", place+1, strings.Join(userColumns, ", "))
		}
		if known, twice := places[name]; twice && known >= 0 {
			return nil, market.Errorf(market.Invalid, "the first line names the column %s twice", name)
		}
		places[name] = place
	}
	for _, name := range []string{"username", "password"} {
		if _, there := places[name]; !there {
			return nil, market.Errorf(market.Invalid, "the first line lacks the column %s: it must be %s", name, strings.Join(userColumns, ","))
		}
	}
	return places, nil
}

func parseUserRow(fields []string, places map[string]int, columns int) userRow {
	if len(fields) != columns {
		return userRow{problem: market.Errorf(market.Invalid, "the row has %d fields, the first line has %d", len(fields), columns)}
	}
	field := func(name string) string {
		if place := places[name]; place >= 0 {
			return fields[place]
		}
		return ""
	}
	n := NewUser{
		Username: armed(field("username")), Email: armed(field("email")), Password: field("password"),
		Role: Role(strings.ToLower(strings.TrimSpace(field("role")))),
	}
	user, err := n.checked()
	if err != nil {
		// Who it is may be told, if it is a name at all: in its place stands a password
		// where columns were mixed up.
		if name, nameErr := ParseUsername(n.Username); nameErr == nil {
			user.Username = name
		}
		return userRow{user: user, problem: err}
	}
	return userRow{user: user, password: n.Password}
}

// Export writes every user as CSV, without passwords. A cell that a spreadsheet would
// take for a formula begins with an apostrophe.
func (s *Service) Export(ctx context.Context, by Caller, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(append([]string{"username", "email", "role"}, exportedTimes...)); err != nil {
		return fmt.Errorf("export users: %w", err)
	}
	for after := ""; ; {
		users, err := s.store.Users(ctx, after, MostListed)
		if err != nil {
			return err
		}
		for _, u := range users {
			last := ""
			if u.LastLoginAt.Valid {
				last = u.LastLoginAt.Value.Format(time.RFC3339)
			}
			// A failure to write comes again at the end.
			_ = out.Write([]string{defused(u.Username), defused(u.Email), string(u.Role), u.CreatedAt.Format(time.RFC3339), last})
		}
		if len(users) < MostListed {
			break
		}
		after = users[len(users)-1].Username
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("export users: %w", err)
	}
	return s.store.WriteAudit(ctx, EntryOf(by, ExportUsers, "", Done, nil))
}

// formulaMarks begin what spreadsheets run (OWASP, CSV injection).
const formulaMarks = "=+-@\t\r"

func defused(cell string) string {
	if cell != "" && strings.ContainsRune(formulaMarks, rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// armed undoes defused.
func armed(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && strings.ContainsRune(formulaMarks, rune(cell[1])) {
		return cell[1:]
	}
	return cell
}
