package low

var file_messages = []int{1}

func init() { file_messages = nil }
