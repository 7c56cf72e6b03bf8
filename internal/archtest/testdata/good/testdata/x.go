package ignored

func init() {}
