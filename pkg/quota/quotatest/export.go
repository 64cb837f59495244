package quotatest

import "os"

// Fill appends to a file, as an ordinary user, until that is refused for want
// of room or the file has grown by most bytes. It tells how much it grew.
func Fill(f *os.File, most int64) (grown int64, full bool, err error) { return fill(f, most) }
