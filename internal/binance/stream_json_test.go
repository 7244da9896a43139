package binance

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzMembers asserts of any JSON object that encoding/json finds the same
// members in it.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(openKline))
	f.Add([]byte(`{}`))
	f.Add([]byte(" { \"a\" :\t[1, {\"}\":\"]\"} ,\"\\\\\"]\r\n, \"\":-1.5e3 , \"\\\"\" : {\"b\":{}},\"c\":null}\n"))
	f.Fuzz(func(t *testing.T, object []byte) {
		object = bytes.TrimSpace(object)
		if !json.Valid(object) || object[0] != '{' {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(object))
		if _, err := decoder.Token(); err != nil {
			t.Fatal(err)
		}
		members := membersOf(object)
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				t.Fatal(err)
			}
			var value json.RawMessage
			if err := decoder.Decode(&value); err != nil {
				t.Fatal(err)
			}
			var got string
			if !members.next() || json.Unmarshal(members.key, &got) != nil || got != name || !bytes.Equal(members.value, value) {
				t.Fatalf("found %s: %s, want %q: %s", members.key, members.value, name, value)
			}
		}
		if members.next() {
			t.Fatalf("found %s: %s after the last", members.key, members.value)
		}
	})
}
