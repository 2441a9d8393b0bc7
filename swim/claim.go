package swim

// A claim is what somebody says about one member: a state at an incarnation.
type claim struct {
	incarnation uint64
	state       State
}

// overrides reports whether a takes the place of b: a higher incarnation, or at equal incarnation a higher state, Left
// over Failed over Suspect over Alive. It is a strict total order, so keeping the greater of any two claims is
// commutative, associative and idempotent whatever the order of arrival (SWIM, section 4.2, with Left added).
func (a claim) overrides(b claim) bool {
	if a.incarnation != b.incarnation {
		return a.incarnation > b.incarnation
	}
	return a.state > b.state
}
