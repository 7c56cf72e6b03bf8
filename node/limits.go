package node

import "time"

// Bounds and defaults of the node, with their reasons.
const (
	// BudgetLAN is how long a question may wait for peers on the LAN: a round trip there is a few milliseconds, and a
	// neighbour that takes longer is asleep.
	BudgetLAN = 50 * time.Millisecond
	// BudgetWAN is how long it may wait for anybody. Nix asks caches one after the other, so each millisecond here is paid
	// for every path.
	BudgetWAN = 300 * time.Millisecond
	// GraceAfterStart: Nix remembers a miss for an hour, so the first questions after a start wait this long in all for
	// the namespaces in use to be synced.
	GraceAfterStart = 2 * time.Second

	// breakAfter failures in a row open a breaker for breakFor, which doubles up to breakMost: one answer that was lost is no
	// sign, and who comes back is asked again within a build.
	breakAfter = 3
	breakFor   = 5 * time.Second
	breakMost  = time.Minute

	// banTime is how long a peer that lied is not spoken to. Long enough to make lying slow, short enough that a repaired
	// node (a bad disk, a bad build) comes back by itself.
	banTime = 5 * time.Minute

	// longPolls is how many peers of one namespace are followed by long poll; others are asked every pollInterval.
	longPolls = 4
	// pollInterval is the time between two syncs without a long poll, and between attempts after an error.
	pollInterval = time.Minute
	// quickRounds: after so many rounds in a row that took less than quickRound each and brought nothing, a peer is left
	// alone for pollInterval. Honest ones need fewer: each names changesAtOnce publications.
	quickRounds = 64
	quickRound  = time.Second
	// askedPause is how long after a peer has asked about a namespace it is asked in turn: it takes in what it was told first.
	// It doubles up to askedPauseMost while there is nothing: two that have nothing would ask each other over and over.
	askedPause     = time.Second / 4
	askedPauseMost = 5 * time.Second
	// syncRoundTimeout ends one round: the long poll of 60 s and time to answer, or to fetch what was named.
	syncRoundTimeout = 75 * time.Second
	// publicationsAtOnce and publicationsBytes bound what is fetched of publications before it is added with one wait for the
	// disk: enough that the wait does not matter, little beside the memory of a node.
	publicationsAtOnce = 256
	publicationsBytes  = 8 << 20
	// textsAtOnce is how many of them are asked for at a time: a peer answers 16 such questions of one other at once, and
	// each may be for 4 MiB.
	textsAtOnce = 8
	// vainPublications: after fetching so many that may not be taken here, a peer is left alone for pollInterval. Each is
	// fetched once, so who follows an older document is past them soon.
	vainPublications = 1024
	// keptListsMost bounds the kept lists of one document together, in bytes: two million publications that stay.
	keptListsMost = 64 << 20
	// parkedMost bounds the publications of which it is remembered that they may not be taken now, at about 150 bytes each.
	parkedMost = 1 << 16
	// recompareEvery is how often everything is compared anew with a peer whose set differs from the one here: the ids that
	// it named were perhaps of publications that could not be taken then. It costs some 10 kB.
	recompareEvery = 10 * time.Minute
	// fetchTextTimeout ends the fetch of one publication, document or kept list (at most 4 MiB) or body (64 MiB).
	fetchTextTimeout = 30 * time.Second
	// aheadAtOnce bounds the bodies that are fetched before anybody asks for them.
	aheadAtOnce = 16
	// aheadNars is how many NARs are fetched from origins at a time before anybody asks for them, and aheadBytes how much may lie
	// aside of such: what is lost when Nix is stopped. Enough for Nix not to wait for the next small ones, and larger ones come
	// while it reads them.
	aheadNars  = 2
	aheadBytes = 64 << 20
	// aheadTold and aheadReferences bound the paths of which it is remembered that Nix was told of them, with their references: 10 MB.
	// aheadMemory is how long Nix may ask for nothing until all that is forgotten; it imports the largest NARs in less. aheadStale is
	// when one of them is, though Nix asks for others: it only wanted to know, or has it from elsewhere.
	aheadTold       = 10_000
	aheadReferences = 100_000
	aheadMemory     = time.Minute
	aheadStale      = 10 * time.Minute
	// bodyPatience: a peer that has not given a body after so long is not waited for alone.
	bodyPatience = time.Second

	// discoverInterval is how often providers of a namespace are looked up in the DHT while some are known. While none is,
	// the first pause is discoverEager, and they grow up to discoverLonely: a walk is some thirty small messages.
	discoverInterval = 10 * time.Minute
	discoverEager    = 2 * time.Second
	discoverLonely   = 20 * time.Second
	// discoverTimeout ends one walk.
	discoverTimeout = 20 * time.Second
	// providersWanted bounds the peers dialled for one walk, dialsAtOnce how many of them at a time. They are many more than a
	// download uses: whoever answers a walk first must not decide who is found.
	providersWanted = 64
	dialsAtOnce     = 8

	// claimBytes is the most raw bytes of one question for chunks, claimLeast the least where there are so many, since each
	// costs a stream and a seek. claimsEach is how many of them a provider has under way for one body, so that its line is
	// not idle between two.
	claimBytes  = 4 << 20
	claimLeast  = 256 << 10
	claimsEach  = 2
	claimRanges = 1024
	// askAhead is how much may be under way from a peer for all bodies together, in time at its measured speed: more than a
	// round trip, so that its line is full; little enough that what is asked next is not long in coming, and that little
	// is asked twice when it disappears. It is askedAtFirst where its speed is not known.
	askAhead     = time.Second / 2
	askedAtFirst = 512 << 10
	// A peer's speed is measured over the last speedOver in which something was under way from it; it counts from speedLeast
	// bytes or from speedSoonest on, and is forgotten when nothing was under way for speedMemory.
	speedOver    = 2 * time.Second
	speedLeast   = 128 << 10
	speedSoonest = time.Second / 4
	speedMemory  = 30 * time.Second
	// overtakeAfter is how late a peer is at the least before what was asked of it is asked of another one as well.
	overtakeAfter = 200 * time.Millisecond
	// mirrorOpens is how long an offer waits for a namespace that this node was just told to mirror, or has since it started.
	mirrorOpens = time.Second
	// vainClaims: a peer that had nothing of so many claims in a row, at places taken by chance, is not asked for more of
	// that body while others bring it: it has little of it.
	vainClaims = 8
	// providersAtOnce bounds the peers one body is fetched from.
	providersAtOnce = 6
	// silentTime: when nothing came for so long, others are looked for who have it.
	silentTime = 3 * time.Second
	// stallTime: after so long without a chunk, the largest of which has 256 KiB, peers that still say that they bring some are
	// given up: a build is faster than what comes by less than 13 kB/s.
	stallTime = 20 * time.Second
	// hushTime: a peer that brought something and now brings nothing of what it was asked for so long, nor within four times what that should
	// take, is taken for gone: its lid was closed, its line is dead, and the connection will not say so for half a minute. A handover
	// from one radio cell to the next takes less, a build notices more. Whose speed is not known yet has stallTime.
	hushTime = 4 * time.Second
	// searchTime: so long a download whose providers are all gone looks for another one before its readers are told that there is
	// none. Nix waits for it, and could build meanwhile; a walk through the DHT may take longer, and helps the next path.
	searchTime = time.Second
	// absentMemory is how long "I do not have it" is remembered of a peer, and how long it is remembered that nobody was
	// found who holds a namespace: Nix asks for hundreds of paths, and each would wait the whole budget.
	absentMemory = 30 * time.Second
	// heldBytes bounds the chunks that a download keeps in memory when the store takes nothing (disk reserve, quota).
	heldBytes = 32 << 20
	// recentBytes bounds the chunks of a download that are kept in memory for readers close behind it.
	recentBytes = 8 << 20
	// commitEvery is the raw size after which a long download is made durable, so that a crash repeats little.
	commitEvery = 128 << 20
	// commitTimeout ends one commit: commitEvery and what came meanwhile, on a slow disk.
	commitTimeout = 30 * time.Second

	// upstreamHit is how long Nix is told of a path that only its origin has, before that is asked whether it still does: caches collect what
	// nobody has asked for in weeks, and a question costs a round trip, once a day.
	upstreamHit = 24 * time.Hour
	// upstreamMiss is how long it is remembered that an origin does not have a path: as long as Nix remembers it, set up as it should
	// be. upstreamAbsent and upstreamInfos bound how many such answers, and how many places of NARs (some 300 bytes each, 4 KB at most), are
	// remembered of one origin.
	upstreamMiss   = time.Minute
	upstreamAbsent = 1 << 16
	upstreamInfos  = 1 << 14
	// originWarm is how long an origin keeps a connection open that nobody uses, or less: nginx closes it after 75 s by default
	// (keepalive_timeout), and flurry itself after 60 (origin). graceCold is how much longer an answer may take when there is none: three quarters of a second for making one, which is 5 ways of 150 ms,
	// and little for who waits in vain, once.
	originWarm = 50 * time.Second
	graceCold  = 700 * time.Millisecond
	// originHush is how long an origin that is asked may answer nothing, and send less than originLeast of NARs, before it is taken for one
	// that hangs, until it answers after all: half of what a build may lose.
	originHush  = time.Second
	originLeast = 1 << 10
	// hearsayPaths bounds the paths of which it is remembered who says to have them: some 250 bytes each for each who does. It is for
	// what Nix has been told of and not fetched yet.
	hearsayPaths = 1 << 14
	// lookupsAtOnce is how many lookups of one namespace a peer is asked at a time; it answers 16. What is beyond goes together.
	lookupsAtOnce = 8
	// hearsayTries is how many peers' word for a body is taken before the origin is asked for the NAR.
	hearsayTries = 2
	// Peers that bring a NAR at less than slowSupply bytes a second, when the rest would take longer than slowRest, are left for the
	// origin: they are on a bad line or mean harm, and what they gave is fetched once more.
	slowSupply = 1 << 20
	slowRest   = 10 * time.Second
	// throughBlock is how much of a NAR from an origin is read at a time, and throughWindow how much of it is kept in memory for
	// readers who are not equally fast. The origin waits for the foremost of them, for throughPatience at a time.
	throughBlock    = 128 << 10
	throughWindow   = 4 << 20
	throughPatience = 5 * time.Second
	// blocksKept is how many blocks are kept in memory when nobody uses them: those of two NARs, as many as Nix reads at a time on
	// two processors.
	blocksKept = 2 * throughWindow / throughBlock
	// leftOutLooked is how many publications are read to find out which caches a namespace leaves paths to, up to 4 MiB each: what
	// a publisher leaves out does not change from day to day.
	leftOutLooked = 5
	// scratchMost is how many bytes of NARs may be put aside, on the disk; more goes into the store as it comes. It is enough for a
	// desktop's update. It is no more than that part of the store's quota, beside which it is. scratchQuiet is how long nobody must have read or written any of it for it to be quiet.
	scratchMost  = 2 << 30
	scratchPart  = 8
	scratchQuiet = 2 * time.Second
	// wholeWait is how long Nix waits for a look whether all chunks of a path are here: a third of the budget. wholeLooks bounds those under
	// way at a time, which hold a goroutine each, also when the store hangs.
	wholeWait  = 100 * time.Millisecond
	wholeLooks = 256
	// lookStall is for how long such a look may find nothing before the disk is taken for one that does not answer.
	lookStall = 2 * time.Second
	// wholeLacked is how many bodies it is remembered of that something of them was lacking: 40 bytes each.
	wholeLacked = 10_000
	// throughCommit is how long what came from origins waits to be made durable, for more of it.
	throughCommit = 3 * time.Second

	// crowdBytes bounds the decoded chunks that are kept for bodies with several readers: what twenty-five who began together are
	// apart.
	crowdBytes = 32 << 20

	// roomStep is the difference between the sizes of memory for chunks that is used again: a chunk has 64 KiB on average, and at
	// most 256.
	roomStep = 32 << 10

	// withheld: the last bytes of a NAR whose NarHash is unproven leave only after it matched. One Nix buffer.
	withheld = 64 << 10
	// wholeFirst: NARs up to this size are checked whole before the first byte leaves.
	wholeFirst = 1 << 20

	// DefaultSeedQuota is how many bytes of chunks a seed keeps of a namespace where nobody said.
	DefaultSeedQuota = 100 << 30
	// mirrorsAtOnce is how many publications of one namespace are fetched at a time: one that comes slowly holds up nothing.
	mirrorsAtOnce = 4
	// narsAtOnce is how many NARs of one publication are fetched at a time.
	narsAtOnce = 3
	// mirrorTime ends one attempt at a publication; what came stays, and the next one goes on from there.
	mirrorTime = 30 * time.Minute
	// mirrorRetry is the pause before a publication that nobody gave is tried again, at first; it doubles up to mirrorRetryMost.
	mirrorRetry     = 5 * time.Second
	mirrorRetryMost = 10 * time.Minute
	// offersQueued bounds the publications of one namespace that wait to be fetched because they were offered or followed: what
	// is beyond it is told to come later.
	offersQueued = 16_384
	// meetTime is how long an offer waits until its sender has introduced itself.
	meetTime = 5 * time.Second
	// OfferPatience: a peer that says nothing of an offer for so long is given up, and after so long without a new peer nobody is
	// waited for.
	OfferPatience = 15 * time.Second
	// countersignEach and countersignMost bound the publications of one writer, and of all, that are countersigned at a time: each
	// takes a line of 121 bytes in the document when its writer is revoked, which must find room there (1 MiB), and one of the
	// root's own 16,384 publications.
	countersignEach = 4096
	countersignMost = 6000
	// offerStill: when nobody who was offered a publication came to have more of it for so long, nobody is waited for. A seed that is
	// at work on others' may take minutes to begin.
	offerStill = 10 * time.Minute
	// hadPatience is how long a peer that says that it lacks something of a publication is waited for when it is asked whether it
	// had it: one that has all of it says so at once.
	hadPatience = time.Second / 2
	// offerEvery is how often what still wants copies is offered again.
	offerEvery = 10 * time.Minute
	// offersAtOnce is how many publications are offered to one peer at a time.
	offersAtOnce = 4
	// upkeepEvery is how often documents and pins are looked at for renewal, and writers' publications for countersigning.
	upkeepEvery = 10 * time.Second
	// renewAtOnce bounds what one renewal uses; what is left has its turn at the next look.
	renewAtOnce = 1000
	// renewRoots bounds the roots that one renewal names, at 250 bytes each at most.
	renewRoots = 8000
	// seedMemory is how long it is believed who mirrors a namespace, and what they have of it.
	seedMemory = 5 * time.Minute

	// expiredGrace is how long what has expired stays whatever happens: who looks after it may have been away over a weekend.
	expiredGrace = 48 * time.Hour
	// orphanTime is how long content stays that nothing names: a download or a publication that was cut off goes on from there.
	orphanTime = 24 * time.Hour
	// cachedLately: cached content that was asked for so lately stays however full the store is, so that a store that is too
	// small for what is being built does not give up what it has just fetched. When content was asked for is known to the hour.
	cachedLately = 2 * time.Hour
	// collectEvery is how often it is looked at whether something is to be collected, collectDue how often what is due is.
	collectEvery = 10 * time.Second
	collectDue   = time.Hour
	// collectAgain is the pause after a collection for want of room; after one that gave none it is collectDue.
	collectAgain = 5 * time.Minute
	// Beyond fullPart of its quota a store is emptied down to easyPart, so that collecting is not all that it does; below
	// its reserve and one part in reserveSlack of it, up to twice that.
	fullPart, easyPart = 0.9, 0.8
	reserveSlack       = 8
	// roomEvery is how often it is counted anew what a mirrored namespace has, when something found no room in its quota.
	roomEvery = time.Minute

	// placeEvery is how soon it is asked whether Nix has imported what it was given, and again at twice the distance each time, up to
	// placeSeldom, for placeWait at most: it does so a moment after the NAR's last byte, or when all of a closure is there. placeQueue bounds how many NARs are remembered for that, some 200 bytes each.
	placeEvery  = 5 * time.Second
	placeSeldom = time.Minute
	placeWait   = 10 * time.Minute
	placeQueue  = 20_000
	// placeRound is how often all that is used is compared with what Nix has, placeBatch paths at a time, and placeCheck how
	// often it is looked whether what is placed is still there: a look at each path, 10 microseconds.
	placeRound = time.Hour
	placeBatch = 1000
	placeCheck = 15 * time.Second
	// promisedAgain is after how long it is tried again to copy what is promised from /nix/store.
	promisedAgain = time.Minute
	// spareMost is how many bytes may lie in the store although they are in /nix/store as well, before they are collected.
	spareMost = 256 << 20

	// bodyCacheBytes bounds the parsed bodies kept in memory (a body of a 100 MB NAR is about 60 kB).
	bodyCacheBytes = 8 << 20

	// lookupHashes is the most path hashes in one lookup.
	lookupHashes = 512
	// answerEntries is the most entries in an answer to one hash.
	answerEntries = 8
	// runRaw is the most raw bytes in one run of chunks.
	runRaw = 2 << 20
	// publicationEntries and publicationBytes leave room below the limits of the format (4,096 entries, 4 MiB).
	publicationEntries = 4000
	publicationBytes   = 3 << 20
	// changesAtOnce is the most publication ids in one sync answer.
	changesAtOnce = 4096
	// bucketsAtOnce is how many buckets of publication ids are asked for at once.
	bucketsAtOnce = 32
	// longPoll is how long a sync that has nothing to say waits for something.
	longPoll = 60 * time.Second
	// announceBatch is how many paths are handed to the DHT at once after a start.
	announceBatch = 1000
	// maxParkedFetch bounds the publications that are fetched beyond those a peer named, because those use them.
	maxParkedFetch = 4096
)
