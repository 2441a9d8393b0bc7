package integration

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A member whose log is away and whose disk is full takes no more, says so, and is not ready, but lives. What it had taken by
// then survives kill -9 and reaches the log once there is a disk and a log again (I1, I11).
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, "n1")
	// No file of the process may grow beyond 512 blocks: for what is written into the outbox, that is a full disk.
	limited := append([]string{"-c", `ulimit -f 512; exec "$0" "$@"`, filepath.Join(binaries, "member")}, s.memberArgs("pki", "n1")...)
	small := exec.Command("sh", limited...)
	small.Env = environment()
	n1 := begin(t, "n1 on a small disk", small)
	api := "http://" + n1.logged("serving health and metrics", "http")
	s.await("n1", "alive", 1)
	s.projector.kill()

	kept, promised := 0, 0 // events that wait, by the member's own word before it was full, and changes that it answered with 200
	answer := ""
	for i := 0; !strings.Contains(answer, "takes no more events"); i++ {
		if i == 5000 {
			t.Fatalf("after %d changes of tags the member says %q", i, answer)
		}
		if setTags(t, api, fmt.Sprintf(`{"tags":{"a":"%0200d","b":"%0200d"}}`, i, i)) == http.StatusOK {
			promised++
		}
		var status int
		status, answer = readiness(t, api)
		if ready := status == http.StatusOK; ready == strings.Contains(answer, "not ready") {
			t.Fatalf("/readyz: status %d, %s", status, answer)
		}
		_, _ = fmt.Sscanf(answer, "ok, but the log is away; %d events wait", &kept)
	}
	if live, err := http.Get(api + "/livez"); err != nil || live.Body.Close() != nil || live.StatusCode != http.StatusOK {
		t.Errorf("/livez of a member with a full disk: %v, error %v", live, err)
	}
	if kept < 10 {
		t.Fatalf("only %d events were kept before the disk was full", kept)
	}

	n1.kill()
	s.startProjector()
	n1, _ = s.startMember("n1")
	api = "http://" + n1.logged("serving health and metrics", "http")
	eventually(t, "the member is ready and has said all", func() error {
		if status, answer := readiness(t, api); status != http.StatusOK || answer != "ok\n" {
			return fmt.Errorf("status %d: %s", status, answer)
		}
		if n := s.said("n1", "tagged"); n < max(kept, promised) {
			return fmt.Errorf("%d changes of tags in the log, %d were kept, and %d answered", n, kept, promised)
		}
		return nil
	})
	succeed(t, "projector", "verify", "--cluster", siteCluster, "--nats", "nats://"+s.nats)
}

// setTags asks a member for other tags, and returns the status. A member that can keep no more refuses.
func setTags(t *testing.T, api, body string) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, api+"/v1/tags", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func readiness(t *testing.T, api string) (status int, text string) {
	t.Helper()
	response, err := http.Get(api + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}
