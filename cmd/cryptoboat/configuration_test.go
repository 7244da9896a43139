package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/settings"
)

func TestConfigurationNamesEveryVariableAndSetting(t *testing.T) {
	var out, complaints strings.Builder
	e := environment{out: &out, errors: &complaints, get: func(string) string { return "" }}
	if code := run(t.Context(), e, []string{"configuration"}); code != 0 {
		t.Fatalf("exit code %d: %s", code, &complaints)
	}
	for _, d := range settings.Definitions() {
		if !strings.Contains(out.String(), "| `"+string(d.Name)+"` |") {
			t.Errorf("the setting %s is not in the tables", d.Name)
		}
	}
	for _, name := range variablesRead(t) {
		if !strings.Contains(out.String(), "| `"+name+"` |") {
			t.Errorf("the variable %s is read, and not in the tables", name)
		}
	}
}

// variablesRead returns the names of all variables that the commands' code speaks of.
func variablesRead(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`"((?:CRYPTOBOAT|BINANCE|COINGECKO)_[A-Z_]+)"`)
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range named.FindAllSubmatch(source, -1) {
			names = append(names, string(match[1]))
		}
	}
	if len(names) < len(variables) {
		t.Fatalf("only %d names were found", len(names))
	}
	return names
}
