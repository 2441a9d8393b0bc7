package projections

// Parts are the names and versions of what a state is made of.
var Parts = parts

// AddDelay adds one delay.
var AddDelay = (*Delays).add
