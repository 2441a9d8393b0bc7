package httpapi

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rollcall/projections"
)

// metricsTag is the tag in which a node may say where its metrics are: a port on the host of its address, or host:port.
const metricsTag = "metrics"

// targetJSON is one target as Prometheus reads it from an http_sd_config.
type targetJSON struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

const metaPrefix = "__meta_rollcall_"

// prometheus answers an http_sd_config: a list of targets, by id. Prometheus keeps the last list when it gets an error, and
// drops every target when it gets an empty list, so until the views hold the whole log this is an error.
func (a *api) prometheus(w http.ResponseWriter, r *http.Request) error {
	filter, err := parseNodeFilter(r.URL.Query())
	if err != nil {
		return err
	}
	if !a.p.Status().Ready {
		return a.notReady()
	}
	var found []*projections.Node
	a.p.View(func(v *projections.Views) { found = v.Registry.Select(filter.tags, filter.states...) })
	targets := make([]targetJSON, 0, len(found))
	for _, n := range found {
		labels := map[string]string{
			metaPrefix + "cluster": a.p.Cluster(), metaPrefix + "id": n.ID, metaPrefix + "state": n.State.String(),
			metaPrefix + "address": n.Address, metaPrefix + "incarnation": strconv.FormatUint(n.Incarnation, 10),
		}
		for _, key := range slices.Sorted(maps.Keys(n.Tags)) {
			label := metaPrefix + "tag_" + labelName(key)
			if _, taken := labels[label]; !taken { // the first counts, in every answer
				labels[label] = n.Tags[key]
			}
		}
		targets = append(targets, targetJSON{Targets: []string{metricsAddress(n)}, Labels: labels})
	}
	return send(w, r, targets)
}

func metricsAddress(n *projections.Node) string {
	said := n.Tags[metricsTag]
	if port, err := strconv.ParseUint(said, 10, 16); err == nil && port > 0 {
		if host, _, err := net.SplitHostPort(n.Address); err == nil {
			return net.JoinHostPort(host, said)
		}
	}
	if _, _, err := net.SplitHostPort(said); err == nil {
		return said
	}
	return n.Address
}

// labelName writes a tag's key as a part of a label: what a label may not have becomes an underscore.
func labelName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
}
