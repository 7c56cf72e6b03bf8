package control

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// query takes the parameters out of a GET request. What is left over, or is not of its form, is an error.
type query struct {
	r      *http.Request
	left   url.Values
	failed error
}

func newQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	return &query{r: r, left: values, failed: err}
}

// path returns a part of the path.
func (q *query) path(name string) string { return q.r.PathValue(name) }

// text returns a parameter, "" if it is not there.
func (q *query) text(name string) string {
	v := q.left.Get(name)
	q.left.Del(name)
	return v
}

// flag returns a parameter that is true or false, and false if it is not there.
func (q *query) flag(name string) bool {
	v := q.text(name)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		q.failed = fmt.Errorf("%s is true or false, not %.40q", name, v)
	}
	return b
}

// err returns what was not understood.
func (q *query) err() error {
	if q.failed != nil {
		return badRequest(q.failed.Error())
	}
	for name := range q.left {
		return badRequest(fmt.Sprintf("unknown parameter %.40q", name))
	}
	return nil
}
