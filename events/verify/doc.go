// Package verify reads a log from its first event and says what in it does not follow.
//
//	v := verify.New("default", func(f verify.Finding) { fmt.Println(f) })
//	for m, err := range log.Scan(ctx, info.Last) {
//		if err != nil {
//			return err
//		}
//		if err := v.Next(m.Position, m.Subject, m.Body); err != nil {
//			return err // a newer version wrote this: a newer reader must go on
//		}
//	}
//	v.End(info.Last)
//	fmt.Println(v.Summary().Violations)
//
// Every verdict is derived again, by the same fold that every reader uses, and by what the fold alone cannot see: whether
// a position is missing, whether an id was used before, and whether a verdict that the fold refused can have been given in
// good faith.
//
// # What counts
//
// A [Violation] cannot come from correct members and a correct server: somebody wrote around the rules, or the log lost or
// invented something. A [Note] can: clocks are set back, a quorum that stood when a verdict was decided is gone when it
// is stored. A log of correct members has no violations, whatever failed meanwhile; one liar's events are violations even
// where the fold made them harmless.
//
// The line between the two is drawn by what the author knew. An append names the newest event about its node, so all that
// follows from the node's own history was known, exactly, to whoever wrote it: a step that this history refuses, or that it
// took already, is a violation. What depends on other nodes (how many are live, and so how large a quorum must be, and who is too suspect
// himself to speak) may have changed between reading and storing. A verdict without its quorum is therefore a violation
// only if no moment since the event before it, about the same node, can have given it one.
//
//	I1  a position is missing                                              violation
//	I2  an id is used twice                                                violation
//	I3  subject and body disagree; not its author's to say                 violation
//	    accuses, and is not on the roll itself                             note
//	I4  an author's times about one node go backwards                      note
//	I5  a step that the node's history does not allow                      violation
//	    said again or too late, and not as evidence                        violation
//	    accused, and never joined (its joined was still on its way)        note
//	I6  refuted, tagged or left after it left                              violation
//	I7  accuses an incarnation that its owner never raised                 violation
//	I8  failed without a suspicion, an accusation of its author, a quorum  violation
//	    … whose quorum can have stood when it was decided                  note
//	I10 a position comes again                                             violation
//	I15 cannot be read, or breaks a bound                                  violation
//	    of one group more than the views keep                              note
//
// # Plans
//
// An event of an assignment group names the newest event of its group, and a plan the position up to which its author had
// read everything. So the group is judged as a node is, and the nodes in its plan as they were at that position:
//
//	I3  plans while another directs, or resigns what it does not direct    violation
//	    its author was no live member, up to where it had read             violation
//	    … or directs no more, or has failed or left since                  note
//	    says of a worker that it failed or left, and it had not            violation
//	I5  made before the group's newest event, or on what was to come       violation
//	    a worker was no live member, or suspect and is given a shard       violation
//	    its moves are not what it changes                                  violation
//	    … by what workers did since                                        note
//
// Accusations that came late or changed nothing (kind accused) are evidence and never a finding.
//
// # Limits
//
// That an observation is true cannot be told from the log, nor that nothing was withheld. Of a plan it is not judged whether
// its workers match its selector, nor how evenly it spreads. Behind a missing position the rest is judged as if the missing
// events had not been: findings about the same nodes may follow from the gap.
//
// Memory grows with the log: about [IDCost] bytes an event, to tell exactly whether an id was used before; 16 bytes a change
// of a node's state; one instant for each pair of an author and a node or group; and the roll.
package verify
