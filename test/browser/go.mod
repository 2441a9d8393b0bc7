module rollcall/test/browser

go 1.26.0

replace rollcall => ../..

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	rollcall v0.0.0-00010101000000-000000000000
)

require (
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/spf13/pflag v1.1.0 // indirect
	golang.org/x/net v0.60.0 // indirect
)
