// Package certs is the small certificate authority of a cluster, and the identity that a member shows to the others.
//
// A member's name is in its certificate: one URI SAN, spiffe://rollcall/<cluster>/<id>. Whoever holds the key speaks for
// that id and no other; whoever has no certificate of the cluster's CA is not spoken with at all. All keys are ECDSA P-256.
//
//	ca, err := certs.NewCA("default", time.Now(), 0)        // in memory: tests, member dev
//	me, err := ca.Identity("n1", time.Now(), 0)
//
//	err = certs.InitCA("pki", "default", time.Now(), 0)     // on disk: pki/ca.pem, pki/ca-key.pem
//	err = certs.IssueFiles("pki", "default", "n1", time.Now(), 0)
//	me, err = certs.Load("pki/n1.pem", "pki/n1-key.pem", "pki/ca.pem")
//	go me.Watch(ctx, time.Minute, logger)                   // follows the files: a rotation needs no restart
//
// An [Identity] swaps certificate and roots in one step. A new file that is broken, expired or another member's is
// refused, said once, and the old one stays in use.
//
// What it is not: there are no intermediate authorities, no revocation lists and no enrolment over the network. A
// stolen key is good until its certificate ends, so keep the validity short and rotate often.
package certs
