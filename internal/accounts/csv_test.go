package accounts_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestImportIsAllOrNothing(t *testing.T) {
	service, _, _ := open(t)
	file := "\uFEFFusername,email,password,role\r\n" +
		"ada,ada@example.org,\"a \"\"quoted\"\", password\",admin\r\n" +
		"\"multi\nline\",m@example.org,long enough password,viewer\r\n" +
		"bob,,\"two\nlines of it\",\r\n" +
		"eve,,tiny,viewer\r\n" +
		"ADA,,another long password,viewer\r\n" +
		"boss,,another long password,viewer\r\n" +
		"kim,'+kim@example.org,another long password,\r\n" +
		"lee,lee@example.org,another long password,root\r\n" +
		"short,row\r\n"
	want := []accounts.ImportRow{
		{Line: 2, Username: "ada"},
		{Line: 3, Problem: "the username must be 1 to 64 of a-z, 0-9 and . _ - @, and begin with a letter or digit"},
		{Line: 5, Username: "bob", Problem: "the password must not hold control characters"},
		{Line: 7, Username: "eve", Problem: "the password must have 10 to 256 characters"},
		{Line: 8, Username: "ada", Problem: "line 2 has a user of this name too"},
		{Line: 9, Username: "boss", Problem: "there is a user of this name already"},
		{Line: 10, Username: "kim"},
		{Line: 11, Username: "lee", Problem: "the role must be admin or viewer"},
		{Line: 12, Problem: "the row has 2 fields, the first line has 4"},
	}
	report, err := service.Import(t.Context(), boss, strings.NewReader(file), false)
	wantCode(t, err, market.Invalid)
	if report.Created != 0 || report.Refused != 7 || !reflect.DeepEqual(report.Rows, want) {
		t.Errorf("report %+v", report)
	}
	if text := fmt.Sprint(report, err); strings.Contains(text, "tiny") || strings.Contains(text, "another") || strings.Contains(text, "lines of it") {
		t.Errorf("the report holds a password: %s", text)
	}
	if users, _ := service.List(t.Context(), "", 10); len(users) != 1 {
		t.Errorf("there are %d users, want the one from before", len(users))
	}

	report, err = service.Import(t.Context(), boss, strings.NewReader(file), true)
	if err != nil || report.Created != 2 || report.Refused != 7 || !report.Rows[0].Created || report.Rows[1].Created {
		t.Errorf("report %+v, %v", report, err)
	}
	caller, err := service.Authenticate(t.Context(), "", "ada", `a "quoted", password`)
	if err != nil || caller.Role != accounts.Admin {
		t.Errorf("caller %+v, %v", caller, err)
	}
	kim, err := service.User(t.Context(), "kim")
	if err != nil || kim.Email != "+kim@example.org" || kim.Role != accounts.Viewer {
		t.Errorf("user %+v, %v", kim, err)
	}

	entries, err := service.Audit(t.Context(), 0, 3)
	if err != nil || entries[0].Subject != "kim" || entries[1].Subject != "ada" || entries[2].Action != accounts.ImportUsers || entries[2].Details["refused"] != "7" {
		t.Errorf("the audit log has %+v, %v", entries, err)
	}
	var exported bytes.Buffer
	if err := service.Export(t.Context(), boss, &exported); err != nil {
		t.Fatal(err)
	}
	cells, err := csv.NewReader(&exported).ReadAll()
	if err != nil || len(cells) != 4 || cells[3][0] != "kim" || cells[3][1] != "'+kim@example.org" {
		t.Errorf("exported %q, %v", cells, err)
	}
	// With a column of passwords it can be imported elsewhere.
	for i := range cells {
		cells[i] = append(cells[i], "correct horse battery")
	}
	cells[0][len(cells[0])-1] = "password"
	var moved bytes.Buffer
	if err := csv.NewWriter(&moved).WriteAll(cells); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := accounts.NewCheapService(timescaletest.Open(t), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := elsewhere.Import(t.Context(), boss, &moved, false); err != nil || report.Created != 3 {
		t.Errorf("report %+v, %v", report, err)
	}
	if kim, err := elsewhere.User(t.Context(), "kim"); err != nil || kim.Email != "+kim@example.org" {
		t.Errorf("user %+v, %v", kim, err)
	}
}

func TestImportRefusesFiles(t *testing.T) {
	service, _, _ := open(t)
	for name, file := range map[string]string{
		"empty":              "",
		"no password column": "username,email\nada,a@example.org\n",
		"foreign column":     "username,password,shoe_size\n",
		"column twice":       "username,password,username\n",
		"email twice":        "email,email,username,password\n",
		"open quote":         "username,password\nada,\"correct horse battery\n",
		"bare quote":         "username,password\nada,correct \"horse battery\n",
		"too many rows":      "username,password\n" + strings.Repeat("a,b\n", accounts.MostImported+1),
		"too long":           "username,password\n" + strings.Repeat(" ", accounts.MostImportBytes),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := service.Import(t.Context(), boss, strings.NewReader(file), true)
			wantCode(t, err, market.Invalid)
			if err != nil && strings.Contains(err.Error(), "horse") {
				t.Errorf("the error holds a password: %v", err)
			}
		})
	}
	report, err := service.Import(t.Context(), boss, strings.NewReader("password,username\ncorrect horse battery,zoe\n"), false)
	if err != nil || report.Created != 1 {
		t.Errorf("columns in another order: %+v, %v", report, err)
	}
}

func FuzzReadUsers(f *testing.F) {
	for _, seed := range []string{
		"username,email,password,role\nada,a@example.org,correct horse battery,admin\n", "\uFEFFusername,password\r\na,\"b\"\r\n", "\"", ",\n,", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		good, refused, err := accounts.ReadUsers(data)
		if err != nil && (good+refused != 0 || market.ErrorCode(err) == market.Internal) {
			t.Errorf("%d good and %d refused rows beside %v", good, refused, err)
		}
		if good+refused > accounts.MostImported {
			t.Errorf("%d rows were taken", good+refused)
		}
	})
}
