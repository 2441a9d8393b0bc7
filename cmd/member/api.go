package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

const (
	apiDefault     = "http://127.0.0.1:8080"
	timeoutDefault = 10 * time.Second

	answerMax  = 256 << 20 // bytes of one answer: some hundred thousand nodes
	problemMax = 64 << 10  // bytes of one error
)

// question holds the flags of every command that asks a projector.
type question struct {
	api     string
	access  *cli.API
	timeout time.Duration
	maxLag  time.Duration
	output  *cli.Output
}

func questionFlags(cmd *cobra.Command) *question { return questionFlagsWithin(cmd, 0) }

// questionFlagsWithin is questionFlags with a default of --max-lag.
func questionFlagsWithin(cmd *cobra.Command, maxLag time.Duration) *question {
	q := &question{output: cli.OutputFlag(cmd.Flags())}
	cmd.Flags().StringVar(&q.api, "api", apiDefault, "`URL` of a projector's API")
	q.access = cli.APIFlags(cmd.Flags())
	cmd.Flags().DurationVar(&q.timeout, "timeout", timeoutDefault, "how long to wait for an answer; exit status 5 after it")
	cmd.Flags().DurationVar(&q.maxLag, "max-lag", maxLag,
		"exit with status 4 when the answer is further behind the log than this; 0 takes any")
	complete(cmd, "output", "table", "wide", "json", "name")
	cmd.GroupID = sectionQuestion
	return q
}

// answer is what every answer of the API says of itself. The times are those of the log's server, RFC 3339.
type answer struct {
	Cluster  string `json:"cluster"`
	Position uint64 `json:"position"`
	Time     string `json:"time"`
	Lag      struct {
		Events  uint64  `json:"events"`
		Seconds float64 `json:"seconds"`
	} `json:"lag"`
}

// judge returns what the answer's age means for the exit status. It is called after the answer is printed.
func (q *question) judge(a answer) error {
	lag := time.Duration(a.Lag.Seconds * float64(time.Second))
	if q.maxLag > 0 && lag > q.maxLag {
		return cli.Errorf(cli.ErrStale, "the answer is %v and %d events behind the log, more than --max-lag %v",
			lag.Round(time.Millisecond), a.Lag.Events, q.maxLag)
	}
	return nil
}

// client asks one projector.
type client struct {
	base    *url.URL
	http    *http.Client
	timeout time.Duration
}

func (q *question) client() (*client, error) {
	base, err := url.Parse(q.api)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, cli.Errorf(cli.ErrUsage, "--api %q is not a URL such as %s", q.api, apiDefault)
	}
	if err := positive("timeout", q.timeout); err != nil {
		return nil, err
	}
	asker, err := q.access.Client(base, q.timeout)
	if err != nil {
		return nil, err
	}
	return &client{base: base, http: asker, timeout: q.timeout}, nil
}

// get decodes the answer to one question into value, within the timeout, and returns its bytes on one line. Elements of
// the path are escaped here.
func (c *client) get(ctx context.Context, value any, query url.Values, path ...string) ([]byte, error) {
	asked, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	response, err := c.open(asked, query, nil, path...)
	if err != nil {
		return nil, c.inTime(asked, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, answerMax+1))
	switch {
	case err != nil:
		return nil, c.inTime(asked, fmt.Errorf("read the answer of %s: %w", response.Request.URL, err))
	case len(raw) > answerMax:
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes: ask for less", response.Request.URL, answerMax)
	}
	if err := json.Unmarshal(raw, value); err != nil {
		return nil, fmt.Errorf("the answer of %s is not as expected: %w: is it a projector of this version?",
			response.Request.URL, err)
	}
	return bytes.TrimSpace(raw), nil
}

// inTime gives an error that is due to the timeout its meaning.
func (c *client) inTime(asked context.Context, err error) error {
	if timeout := net.Error(nil); errors.Is(asked.Err(), context.DeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout() {
		return cli.Errorf(cli.ErrTimeout, "no answer from %s within --timeout %v", c.base, c.timeout)
	}
	return err
}

// open sends one request. It fails for every status but 200.
func (c *client) open(ctx context.Context, query url.Values, header http.Header, path ...string) (*http.Response, error) {
	escaped := make([]string, len(path))
	for i, element := range path {
		escaped[i] = url.PathEscape(element)
	}
	to := c.base.JoinPath(escaped...)
	to.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", to, err)
	}
	if header != nil {
		request.Header = header
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("no projector answers at %s: %w: %s", c.base, err,
			cmp.Or(cli.Unreached(err), "start one with `projector run` or `member dev`, or name another with --api"))
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, refusal(response)
	}
	return response, nil
}

// problem is an error of the API, RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// refusal reads the error that an answer is.
func refusal(response *http.Response) error {
	var p problem
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err == nil && kind == "application/problem+json" {
		err = json.NewDecoder(io.LimitReader(response.Body, problemMax)).Decode(&p)
	}
	if err != nil || p.Title == "" {
		return fmt.Errorf("%s answered %q, which is not how a projector answers: is --api right?",
			response.Request.URL, response.Status)
	}
	return &refusedError{p}
}

// refusedError is a problem that an answer, or the end of a stream, is.
type refusedError struct{ problem problem }

func (e *refusedError) Error() string { return e.problem.err().Error() }
func (e *refusedError) Unwrap() error { return e.problem.err() }

// err is the problem with the exit status that it means.
func (p problem) err() error {
	text := p.Title
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	switch p.name() {
	case "no-such-node", "no-such-group", "no-match":
		return cli.Errorf(cli.ErrNotFound, "%s", text)
	case "history-incomplete", "position-not-reached", "in-the-future", "too-far", "not-ready", "stopped",
		"log-replaced", "log-behind":
		return cli.Errorf(cli.ErrStale, "%s", text)
	case "timeout":
		return cli.Errorf(cli.ErrTimeout, "%s", text)
	case "bad-parameter", "unknown-parameter", "bad-id", "bad-body":
		return cli.Errorf(cli.ErrUsage, "%s", text)
	case "unauthorized":
		return fmt.Errorf("%s: name a file that holds it with --token-file", p.Title)
	default:
		return errors.New(text)
	}
}

// name is the last part of the type, which never changes.
func (p problem) name() string { return p.Type[strings.LastIndexByte(p.Type, ':')+1:] }

const instantLayout = "2006-01-02T15:04:05.000Z"

// instant shortens a time of the API to milliseconds; what is no time stays as it is.
func instant(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.UTC().Format(instantLayout)
}
