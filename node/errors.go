package node

import "errors"

var (
	// ErrNotHere says that no namespace in the view has the path, or that nobody reachable holds it.
	ErrNotHere = errors.New("not here")
	// ErrUnknownNamespace says that no namespace has that alias here.
	ErrUnknownNamespace = errors.New("unknown namespace")
	// ErrAliasTaken says that the alias already means another key here.
	ErrAliasTaken = errors.New("alias is taken")
	// ErrNoRootKey says that a key is not the root key of the namespace that it is to sign for.
	ErrNoRootKey = errors.New("not the root key")
	// ErrUnsignable says that a document would not be one that others accept; the error that it wraps says why.
	ErrUnsignable = errors.New("the document cannot be signed")
	// ErrWrongNar says that the bytes that stand under an entry's body do not have its NarHash.
	ErrWrongNar = errors.New("content does not match its NarHash")
	// ErrNoProvider says that nobody reachable gave the content.
	ErrNoProvider = errors.New("nobody reachable has the content")
	// errEnded says that a download is over, and that nothing was wrong with it.
	errEnded = errors.New("the download has ended")
	// ErrOffline says that this node has no network (nothing was asked of it that needs one).
	ErrOffline = errors.New("no network")
)
