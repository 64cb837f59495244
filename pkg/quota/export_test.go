package quota

// Label moves a directory to another project, as its owner can.
var Label = label
