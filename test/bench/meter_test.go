package main

import (
	"testing"
	"time"
)

const interfacesTable = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
  eth0:       7       1    0    0    0     0          0         0        9       1    0    0    0     0       0          0
    lo: 1234567    1000    0    0    0     0          0         0  1234567    1000    0    0    0     0       0          0
`

const protocolsTable = `Icmp: InMsgs InErrors
Icmp: 3 0
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
Udp: 11 12 13 14 15 16
UdpLite: InDatagrams
UdpLite: 99
`

func TestKernelTables(t *testing.T) {
	if got, err := loopbackBytes(interfacesTable); got != 1234567 || err != nil {
		t.Errorf("loopback bytes are %d, %v", got, err)
	}
	if _, err := loopbackBytes("eth0: 1 2 3"); err == nil {
		t.Error("no loopback interface is no error")
	}
	for counter, want := range map[string]uint64{"OutDatagrams": 14, "RcvbufErrors": 15} {
		if got, err := udpCounter(protocolsTable, counter); got != want || err != nil {
			t.Errorf("%s is %d, %v; want %d", counter, got, err, want)
		}
	}
	if _, err := udpCounter(protocolsTable, "Unheard"); err == nil {
		t.Error("an unknown counter is no error")
	}
}

func TestCostBetween(t *testing.T) {
	at := time.Unix(0, 0)
	before := reading{at: at, cpu: time.Second, bytes: 1000, datagrams: 10, lost: 1}
	after := reading{at: at.Add(10 * time.Second), cpu: 3 * time.Second, bytes: 5000, datagrams: 50, lost: 4}
	want := cost{Seconds: 10, Bytes: 100, Datagrams: 1, CPU: 50, Lost: 3}
	if got := costBetween(before, after, 4); got != want {
		t.Errorf("cost is %+v, want %+v", got, want)
	}
}

func TestQuantilesByNearestRank(t *testing.T) {
	var all []time.Duration
	for i := 20; i >= 1; i-- {
		all = append(all, time.Duration(i)*time.Second)
	}
	if got, want := quantilesOf(all), (quantiles{Of: 20, P50: 10, P95: 19, Max: 20}); got != want {
		t.Errorf("of 20: %+v, want %+v", got, want)
	}
	if got, want := quantilesOf(all[:1]), (quantiles{Of: 1, P50: 20, P95: 20, Max: 20}); got != want {
		t.Errorf("of one: %+v, want %+v", got, want)
	}
	if got := quantilesOf(nil).String(); got != "-" {
		t.Errorf("of none: %s", got)
	}
}
