package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cryptoboat/cryptoboat"

// importMap says which packages of the service each package may import;
// docs/architecture.md draws it. Imports point towards the domain.
var importMap = map[string][]string{
	"internal/market":     {},
	"internal/forest":     {},
	"internal/indicators": {"internal/market"},
	// The domain.
	"internal/history":  {"internal/market"},
	"internal/forecast": {"internal/market", "internal/forest"},
	"internal/live":     {"internal/market", "internal/forecast"},
	"internal/accounts": {"internal/market"},
	"internal/settings": {"internal/market", "internal/accounts"},
	"internal/backup":   {"internal/market"},
	// What says when.
	"internal/jobs": {"internal/market", "internal/history", "internal/forecast", "internal/accounts", "internal/settings"},
	// Adapters: they know the domain, never each other.
	"internal/binance":   {"internal/market", "internal/history", "internal/live"},
	"internal/coingecko": {"internal/market", "internal/history"},
	"internal/simulator": {"internal/market", "internal/history", "internal/binance"}, // it shares wire types
	"internal/timescale": {"internal/market", "internal/backup", "internal/history", "internal/forecast", "internal/live", "internal/accounts", "internal/settings", "internal/jobs", "migrations"},
	"migrations":         {},
	// Delivery: never an adapter.
	"internal/httpstatus": {"internal/market"},
	"internal/api":        {"internal/httpstatus", "internal/market", "internal/indicators", "internal/history", "internal/forecast", "internal/live", "internal/accounts", "internal/settings", "internal/jobs"},
	"internal/dashboard":  {"internal/httpstatus", "internal/market", "internal/history", "internal/forecast", "internal/live", "internal/accounts", "internal/settings", "internal/jobs", "charts"},
	"charts":              {"internal/market", "internal/forecast"},
	// What tests of any package may use.
	"internal/timescale/timescaletest": {"internal/timescale"},
	"internal/browsertest":             {},
}

// forTests are the packages that only tests may import.
var forTests = []string{"internal/timescale/timescaletest", "internal/browsertest"}

// thirdParty names the packages that are held to a list of foreign imports.
var thirdParty = map[string][]string{
	"internal/market": {},
	"internal/forest": {"gonum.org/v1/gonum"},
}

// wiring may import everybody, and nobody may import it.
const wiring = "cmd/cryptoboat"

func TestImportsPointTowardsTheDomain(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == "node_modules" || name == "testdata" || name != "." && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		files++
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		checkFile(t, file, filepath.ToSlash(relative))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no Go file was found")
	}
}

func checkFile(t *testing.T, file, relative string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Errorf("%s: %v", relative, err)
		return
	}
	from := path.Dir(relative)
	isTest := strings.HasSuffix(relative, "_test.go")
	if from == wiring || from == "internal" && isTest {
		return
	}
	allowed, known := importMap[from]
	if !known {
		t.Errorf("%s: package %s is not in the import map: give it a line that says what it may import", relative, from)
		return
	}
	for _, spec := range parsed.Imports {
		name := strings.Trim(spec.Path.Value, `"`)
		own, isOwn := strings.CutPrefix(name, module+"/")
		switch {
		case isOwn && own == from, isOwn && slices.Contains(allowed, own):
		case isOwn && isTest && slices.Contains(forTests, own):
		case isOwn:
			t.Errorf("%s imports %s: the import map allows %s only %v", relative, own, from, allowed)
		case isTest || !strings.Contains(strings.Split(name, "/")[0], "."): // the standard library
		default:
			list, limited := thirdParty[from]
			if limited && !slices.ContainsFunc(list, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
				t.Errorf("%s imports %s: %s may import only the standard library and %v", relative, name, from, list)
			}
		}
	}
}
