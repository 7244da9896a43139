package dashboard

import (
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"testing"
)

// The Web Content Accessibility Guidelines 2.2 ask for 4.5 (1.4.3).
func TestTextStandsOutFromItsSurface(t *testing.T) {
	const least = 4.5
	sheet, err := fs.ReadFile(staticFiles, "static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`:root \{[^}]*\}`).FindAllString(string(sheet), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of colours, want light and dark", len(blocks))
	}
	for k, scheme := range []string{"light", "dark"} {
		colours := make(map[string]string)
		for _, match := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(blocks[k], -1) {
			colours[match[1]] = match[2]
		}
		for text, surfaces := range map[string][]string{
			"ink": {"page", "surface"}, "muted": {"page", "surface"}, "accent": {"page", "surface"},
			"up": {"page"}, "down": {"page"}, "forecast": {"surface"}, "warning": {"warning-surface"},
			"simulated": {"simulated-surface"},
		} {
			for _, surface := range surfaces {
				if got := contrast(t, colours[text], colours[surface]); got < least {
					t.Errorf("%s: %s on %s has a contrast of %.2f, want %v", scheme, text, surface, got, least)
				}
			}
		}
	}
}

// contrast returns the contrast ratio of two colours, in [1, 21], as the
// guidelines define it.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	light, dark := luminance(t, a), luminance(t, b)
	if light < dark {
		light, dark = dark, light
	}
	return (light + 0.05) / (dark + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	value, err := strconv.ParseUint(colour, 16, 24)
	if err != nil {
		t.Fatalf("colour %q: %v", colour, err)
	}
	sum := 0.0
	for k, weight := range []float64{0.0722, 0.7152, 0.2126} { // blue, green, red
		part := float64(value>>(8*k)&0xff) / 255
		if part <= 0.04045 {
			part /= 12.92
		} else {
			part = math.Pow((part+0.055)/1.055, 2.4)
		}
		sum += weight * part
	}
	return sum
}
