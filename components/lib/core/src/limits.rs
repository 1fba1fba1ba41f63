//! Every limit of trawl, in one place, each with its reason. Units stand last in the name.

/// The front door: balancer, retries, admission and inbound connections.
pub mod balance {
    /// Replicas behind one balancer. A set of tried replicas then fits in one word, and a pick stays a short scan.
    pub const REPLICAS_MAX: usize = 64;
    /// Weight of one replica. Products of weights and in-flight counts stay far inside 64 bits.
    pub const WEIGHT_MAX: u32 = 10_000;
    /// Failures within `fail_timeout` that bench a replica (nginx's default).
    pub const FAILS_MAX_DEFAULT: u32 = 1;
    /// The largest `max_fails`: one time stamp is kept for each.
    pub const FAILS_MAX_MAX: u32 = 1_000;
    /// Window in which failures count, and how long a bench lasts (nginx's default).
    pub const FAIL_TIMEOUT_MS: u64 = 10_000;
    /// Ramp from nothing to full weight after a bench: long enough for caches and compiled code to warm.
    pub const SLOW_START_MS: u64 = 10_000;
    /// With every replica benched, one request in this time is let through as a probe.
    pub const PROBE_ALL_BENCHED_MS: u64 = 1_000;
    /// Requests that run at once in one local replica: enough to fill a group commit, few enough for its instances' memory.
    pub const LOCAL_CONCURRENCY_MAX: usize = 256;
    /// Requests that are sent at once to one remote replica. It has limits of its own; this bounds our connections to it.
    pub const REMOTE_CONCURRENCY_MAX: usize = 512;
    /// Requests that wait in front of one replica: past this the wait would outlast the clients' patience.
    pub const QUEUE_MAX: usize = 1_024;
    /// A standing wait above this, for `QUEUE_INTERVAL_MS`, is overload and not a burst (`CoDel`'s target, at our scale:
    /// a closed loop of 256 nodes on one busy core must not be shed).
    pub const QUEUE_TARGET_MS: u64 = 500;
    /// How long the wait must stay above the target before the first request is shed (`CoDel`'s interval).
    pub const QUEUE_INTERVAL_MS: u64 = 1_000;
    /// One deadline for all tries of one request, up to the head of the answer.
    pub const DEADLINE_MS: u64 = 30_000;
    /// One try of a request that may be sent again, while there is another replica to send it to: a replica that hangs must
    /// not use up the whole deadline. Three tries fit into it.
    pub const TRY_MS: u64 = 10_000;
    /// Replicas that one request may try. A request that kills its server must not walk through all of them.
    pub const TRIES_MAX: u32 = 3;
    /// Retries as a share of the requests in the budget's window: a dying fleet is not asked for more than this on top.
    pub const RETRY_PERCENT: u32 = 20;
    /// The largest share that may be configured: one retry for each request.
    pub const RETRY_PERCENT_MAX: u32 = 100;
    /// Retries that are always allowed within the window, so that a quiet service can fail over too. It covers all that
    /// is in flight at one of three replicas when 256 nodes are at work.
    pub const RETRY_RESERVE: u32 = 128;
    /// The window of the retry budget.
    pub const RETRY_WINDOW_MS: u64 = 10_000;
    /// A request body longer than this is a large one, whose number is limited: no request of the contract needs half of it. Each body
    /// is read before its request gets a place, so that who sends slowly takes none.
    pub const LARGE_BODY_BYTES: usize = 64 * 1024;
    /// Large bodies of one client network at once (127.0.0.1, ::1 and trusted proxies are exempt), each of up to
    /// [`super::inbound::BODY_BYTES_MAX`].
    pub const LARGE_BODIES_PER_CLIENT_MAX: usize = 8;
    /// Large bodies in all: 32 MiB, half of what the small ones of all connections can be.
    pub const LARGE_BODIES_MAX: usize = 32;
    /// The shortest time that a balance file may set for a wait, or between two checks: with nothing at all each request would be out of
    /// time at once, and checks would fill a core.
    pub const WAIT_MS_MIN: u64 = 10;
    /// Connecting to a remote replica on the same network takes milliseconds; one lost packet takes a second.
    pub const CONNECT_MS: u64 = 2_000;
    /// The longest silence inside the body of a remote replica's answer: one that hangs must not hold its request for ever.
    pub const REMOTE_STALL_MS: u64 = 30_000;
    /// Idle connections kept to one remote replica.
    pub const REMOTE_IDLE_MAX: usize = 256;
    /// An idle connection to a replica is not used after this: well inside the 60 s after which the other side closes it.
    pub const REMOTE_IDLE_MS: u64 = 30_000;
    /// Time between two active checks of a replica.
    pub const CHECK_INTERVAL_MS: u64 = 5_000;
    /// Checks of many balancers and replicas must not fall together: each wait varies by this share.
    pub const CHECK_JITTER_PERCENT: u32 = 20;
    /// A check that takes longer has failed.
    pub const CHECK_TIMEOUT_MS: u64 = 2_000;
    /// Failed checks in a row that take a replica out; one good check brings it back.
    pub const CHECK_FAILS_MAX: u32 = 2;
    /// Time constant by which an observed latency peak is forgotten (Finagle's peak EWMA).
    pub const PEAK_EWMA_DECAY_MS: u64 = 10_000;
    /// How often the balance file is looked at.
    pub const RELOAD_INTERVAL_MS: u64 = 1_000;
    /// A balance file past this is not one.
    pub const BALANCE_FILE_BYTES_MAX: u64 = 256 * 1024;
    /// Addresses of clients that are kept at once. With more, all that were quiet for a second are forgotten; while none was, one that is
    /// not known is refused.
    pub const CLIENTS_MAX: usize = 16_384;
    /// Requests of one client network that are in flight at once, from their first byte to the last of their answers (127.0.0.1, ::1
    /// and trusted proxies are exempt): as many as it may have connections, and a quarter of the places of one local replica.
    pub const CLIENT_IN_FLIGHT_MAX: u32 = 64;
    /// An answer longer than this is a large one, whose number is limited while it is sent: some of the pages, and hardly anything
    /// else. Shorter ones are 256 MiB at the most in a local replica, which has no more than `LOCAL_CONCURRENCY_MAX` under way.
    pub const LARGE_ANSWER_BYTES: u64 = 1024 * 1024;
    /// Large answers to one client network at once (127.0.0.1, ::1 and trusted proxies are exempt). Each holds the page that it is
    /// written from until it is read, or for 30 s: 20 MiB ([`super::scrape::DECODED_BYTES_MAX`]), which makes 160 MiB here, and
    /// three times that where none of its bytes was text and each became a mark for that.
    pub const LARGE_ANSWERS_PER_CLIENT_MAX: usize = 8;
    /// Large answers in all, with those to exempt clients: 640 MiB of the largest pages, 1.9 GiB at the worst. Clients that read
    /// at 100 Mbit/s have a page of 1 MiB in a tenth of a second, so that this is some hundred of them a second.
    pub const LARGE_ANSWERS_MAX: usize = 32;
}

const _: () = assert!(
    balance::TRY_MS * balance::TRIES_MAX as u64 <= balance::DEADLINE_MS,
    "the deadline has room for every try"
);
const _: () = assert!(
    balance::REMOTE_IDLE_MS < inbound::IDLE_MS,
    "a balancer lets go of a connection before the replica closes it"
);
const _: () = assert!(
    balance::DEADLINE_MS < host::REQUEST_MS_MAX,
    "the front door gives up before the component"
);

/// Inbound HTTP.
pub mod inbound {
    /// From the first byte of a head to its end: a slow sender holds no connection longer.
    pub const HEADER_READ_MS: u64 = 10_000;
    /// From the head to the last byte of the body.
    pub const BODY_READ_MS: u64 = 30_000;
    /// A kept-alive connection without a request.
    pub const IDLE_MS: u64 = 60_000;
    /// All of a head: request line and fields.
    pub const HEADER_BYTES_MAX: usize = 16 * 1024;
    /// Fields in one head.
    pub const HEADERS_MAX: usize = 100;
    /// How deep arrays and objects may be nested in a request: whatever reads them may recurse.
    pub const JSON_DEPTH_MAX: usize = 32;
    /// A request body: a URL, a callback and a label are far less.
    pub const BODY_BYTES_MAX: u64 = 1024 * 1024;
    /// Connections of one address (127.0.0.1, ::1 and trusted proxies are exempt).
    pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;
    /// Connections in all.
    pub const CONNECTIONS_MAX: usize = 1_024;
    /// Between two warnings that no connection could be accepted. Out of files, that happens twenty times a second, and the log
    /// would fill the disk that the others need.
    pub const ACCEPT_WARNING_MS: u64 = 60_000;
    /// What the system may hold of an answer for its client. Left alone, Linux lets that grow to 4 MB, and takes nothing more before a
    /// third of it is free: a client that reads 40 kB a second without a pause would be let go as one that takes nothing in 30 s. With
    /// this one that reads 20 kB a second is not (180 to 390 kB have to be taken, by the client's own buffer), and over a line of 100 ms
    /// 2.5 MB a second can still be sent.
    pub const SEND_BUFFER_BYTES: usize = 256 * 1024;
    /// HTTP/2 streams of one connection.
    pub const H2_STREAMS_MAX: u32 = 128;
    /// Answers are given to HTTP/2 in pieces of this size: half a MiB stands in a connection whose reader takes nothing.
    pub const H2_PIECE_BYTES: usize = 4 * 1024;
    /// HTTP/2 streams that a client reset before we answered (the rapid-reset attack); past it the connection is closed.
    pub const H2_RESETS_MAX: usize = 64;
    /// After an answer that came before the end of its request, the rest is read this long, so that closing does not
    /// reset the connection before the client has read the answer.
    pub const LINGER_MS: u64 = 1_000;
    /// The same, in bytes.
    pub const LINGER_BYTES_MAX: usize = 2 * 1024 * 1024;
    /// What runs gets this long after the signal to stop: requests, and the work behind them. Jobs get ten seconds of it
    /// (`scrape::STOP_MS_MAX`), and the rest is for giving them back.
    pub const DRAIN_MS: u64 = 12_000;
    /// After that signal a kept-alive connection ends when it has been without a request for this long. A balancer that uses it
    /// all the time sends its next one, and is told by the answer to send no more; one round trip on any network fits in.
    pub const DRAIN_IDLE_MS: u64 = 1_000;
}

/// Requests that leave the host, for pages, robots.txt and callbacks alike.
pub mod outbound {
    /// Waiting for a slot, resolving, dialling and TLS together: a host that takes longer is down for our purposes.
    pub const CONNECT_MS_MAX: u64 = 5_000;
    /// Until the response head is complete: slow sites answer within 10 s, and a head sent drop by drop ends here too.
    pub const FIRST_BYTE_MS_MAX: u64 = 15_000;
    /// The longest silence inside a body, so that a stalled peer holds a slot for a bounded time.
    pub const BETWEEN_BYTES_MS_MAX: u64 = 10_000;
    /// Most servers close idle connections between 5 s and 75 s; after 30 s a reuse would mostly meet a closed one.
    pub const IDLE_MS_MAX: u64 = 30_000;
    /// Idle connections kept per class and origin: enough for one busy callback receiver, small beside the total.
    pub const IDLE_PER_HOST_MAX: usize = 64;
    /// Requests in flight per class and origin. Politeness is the queue's business; this only stops one host from
    /// taking every connection.
    pub const REQUESTS_PER_HOST_MAX: usize = 128;
    /// Open connections in all: half of the usual limit of 1,024 file descriptors.
    pub const CONNECTIONS_MAX: usize = 512;
    /// A name is asked again after 30 s: shorter than the usual TTLs, long enough for a burst of pages of one host.
    pub const DNS_TTL_MS: u64 = 30_000;
    /// Names remembered at once.
    pub const DNS_NAMES_MAX: usize = 1_024;
    /// A look-up that takes longer counts as unanswered: whoever waited for it has given up by then.
    pub const LOOKUP_MS_MAX: u64 = CONNECT_MS_MAX;
    /// A name whose look-up was not answered is asked again after this: long enough that its retries do not fill the places, short
    /// enough that a name server which was restarted is noticed at the next try of a job.
    pub const UNANSWERED_MS: u64 = 10_000;
    /// Look-ups in all, those included for which nobody waits any more: the system ends one that is not answered after 20 s and
    /// more. Half of tokio's blocking threads, on which they run; the others are for who reads files.
    pub const LOOKUPS_MAX: usize = 256;
    /// Look-ups under way above which only names are asked that were answered before: what is known to work has places that
    /// names without a name server can't take, however many domains they are spread over.
    pub const LOOKUPS_OF_NEW_NAMES_MAX: usize = 192;
    /// Look-ups under way above which no name is asked of a domain whose last one was not answered.
    pub const LOOKUPS_OF_SILENT_DOMAINS_MAX: usize = 64;
    /// Look-ups of one registrable domain at once. One takes some 50 ms, so this is 80 names of a domain a second; and a domain that
    /// answers nothing takes no more.
    pub const LOOKUPS_PER_DOMAIN_MAX: usize = 4;
    /// The same for a domain whose last look-up was not answered: one finds out when it is back.
    pub const LOOKUPS_PER_SILENT_DOMAIN_MAX: usize = 1;
    /// A domain that has not answered is taken for silent for so long, or until it answers: longer than a job waits between its
    /// first tries.
    pub const DOMAIN_SILENT_MS: u64 = 600_000;
    /// A name that was answered is known to work for so long: the next run of a job that comes by the hour finds it so.
    pub const NAME_ANSWERED_MS: u64 = 6 * 3_600_000;
    /// Names, and domains, of which is remembered whether they answered: some 2 MB.
    pub const DNS_STANDINGS_MAX: usize = 16_384;
    /// Addresses of one name that are dialled before giving up; a longer answer is a hostile or broken zone.
    pub const ADDRESSES_MAX: usize = 16;
    /// The next address is tried when the one before has not answered for this long (RFC 8305, section 5).
    pub const DIAL_STAGGER_MS: u64 = 250;
    /// Bytes of a response head: eight times what common servers send at most.
    pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1_024;
    /// Fields of a response head.
    pub const RESPONSE_HEADERS_MAX: usize = 100;
    /// Bytes of an HTTP/2 response that may come before they are read: 2.5 MB a second at a round trip of 100 ms.
    pub const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1_024;
    /// The same of all responses of a connection together. More than stand still at once, each with its window full, because their
    /// readers wait for something: otherwise those would hold up the others, whose end may be what they wait for.
    pub const H2_CONNECTION_WINDOW_BYTES: u32 = 32 * H2_STREAM_WINDOW_BYTES;
    /// For so long an HTTP/2 connection that nobody uses any more may say goodbye: a round trip or two. Until then it counts as open.
    pub const GOODBYE_MS_MAX: u64 = 1_000;
    /// Bytes of a body that its reader gave up on which are still read, so that the connection can be kept.
    pub const DRAIN_BYTES_MAX: usize = 64 * 1_024;
    /// A smaller piece of a body is joined with those that are here too: each one that is handed on costs some microseconds, and a server
    /// decides how small it makes them.
    pub const PIECE_BYTES_SMALL: usize = 4 * 1_024;
    /// Bytes that are joined so, which is what a component reads at once.
    pub const JOINED_BYTES_MAX: usize = 64 * 1_024;
    /// Pieces that are joined before others have their turn: about a millisecond.
    pub const JOINED_MAX: usize = 1_024;
    /// A body may have so many pieces, however small they are: a page of a megabyte that is sent word by word has fewer.
    pub const PIECES_FREE: u64 = 65_536;
    /// Past that they must have so many bytes on average; else ten megabytes would be ten million pieces, and as many microseconds.
    pub const PIECE_BYTES_MEAN_MIN: u64 = 16;
}

const _: () = assert!(
    outbound::LOOKUPS_OF_SILENT_DOMAINS_MAX < outbound::LOOKUPS_OF_NEW_NAMES_MAX
        && outbound::LOOKUPS_OF_NEW_NAMES_MAX < outbound::LOOKUPS_MAX,
    "the better known a name is, the more places there are for it"
);

/// The local host's database: one writer that commits many statements together, several readers.
pub mod sqlite {
    /// Statements in one commit: beyond this the fsync is spread so thin that only the waiting grows.
    pub const BATCH_STATEMENTS_MAX: usize = 512;
    /// Commits into which the statements of many callers are split, so that some are run while others are answered.
    pub const BATCH_PARTS: usize = 2;
    /// So few statements are not split: at some 15 us each they take less time than a sync of a good disk, which is 270.
    pub const BATCH_STATEMENTS_WHOLE: usize = 8;
    /// Parameter bytes in one commit, so that page bodies do not make the batch of small statements wait.
    pub const BATCH_BYTES_MAX: usize = 8 * 1_024 * 1_024;
    /// Execution time of one batch before it commits: keeps the wait of the first statement near one fsync.
    pub const BATCH_EXECUTION_MS_MAX: u64 = 10;
    /// How long the writer waits for the callers it has just answered to come back with their next statement.
    pub const GATHER_US_MAX: u64 = 400;
    /// That wait is at most this part of the last commit, so that it pays whatever the disk is like.
    pub const GATHER_SHARE: u32 = 3;
    /// Times that a batch is tried again after one of its statements rolled it back; then each runs on its own.
    pub const BATCH_RETRIES_MAX: usize = 3;
    /// Statements that may wait for the writer: about a second of its work. More are refused as busy.
    pub const WRITES_WAITING_MAX: usize = 65_536;
    /// Parameter bytes that may wait for the writer.
    pub const WRITE_BYTES_WAITING_MAX: usize = 256 * 1_024 * 1_024;
    /// Statements that may wait for a reader.
    pub const READS_WAITING_MAX: usize = 65_536;
    /// Reader connections: more than four gain nothing while every one of them is bound by the processor.
    pub const READERS_MAX: usize = 4;
    /// How long a lock of another process is waited for; Spin waits as long.
    pub const BUSY_MS_MAX: u64 = 5_000;
    /// How long a guest may hold the writer with an explicit transaction.
    pub const TRANSACTION_MS_MAX: u64 = 5_000;
    /// Statements of one explicit transaction that may wait; a guest sends them one after the other, or a few at once.
    pub const TRANSACTION_STATEMENTS_MAX: usize = 64;
    /// Execution time of one statement: ten times the slowest sensible one.
    pub const STATEMENT_MS_MAX: u64 = 10_000;
    /// The same for one that changes the schema. An index over tens of millions of rows takes minutes, once; cut off, it would be begun
    /// again and again, and a database that is large could never be brought to a new release.
    pub const SCHEMA_STATEMENT_MS_MAX: u64 = 3_600_000;
    /// Bytes of one result, as Spin.
    pub const RESULT_BYTES_MAX: usize = 128 * 1_024 * 1_024;
    /// Bytes of one statement's text; data belongs into parameters.
    pub const SQL_BYTES_MAX: usize = 1_024 * 1_024;
    /// Prepared statements kept per connection: above the number of named statements of the store.
    pub const PREPARED_MAX: usize = 256;
    /// Statement texts whose class is remembered; the map is emptied when it is full.
    pub const CLASSES_MAX: usize = 4_096;
    /// The write-ahead log is cut back to this after a checkpoint.
    pub const WAL_BYTES_KEPT: i64 = 64 * 1_024 * 1_024;
    /// Pages in the log that start a checkpoint (SQLite's default).
    pub const WAL_CHECKPOINT_PAGES: i64 = 1_000;
    /// The log is this large only when a reader keeps it from beginning anew: the operator is told, and it is tried with force.
    pub const WAL_ALARM_BYTES: u64 = 256 * 1_024 * 1_024;
    /// Its size is looked at no more often than this.
    pub const WAL_LOOK_MS: u64 = 1_000;
    /// The same alarm is not raised again before this.
    pub const WAL_ALARM_EVERY_MS: u64 = 10_000;
    /// How long the checkpoint of an alarm waits for readers, and writes for it: far below what a lock may cost them.
    pub const WAL_ALARM_WAIT_MS: u64 = 200;
    /// Nothing was changed for this long: the log is folded into the file and cut to nothing. Longer than the clock's beat, so
    /// that a service that does a little all the time is left alone.
    pub const CHECKPOINT_IDLE_MS: u64 = 2_000;
    /// Page cache of the writer.
    pub const CACHE_KIB: i64 = 8 * 1_024;
    /// A reader's is this part of it: what readers look for are single rows and the heads of queues, and the system keeps the
    /// file in memory anyway.
    pub const READER_CACHE_PART: i64 = 4;
}

/// Bringing the schema up to date.
pub mod schema {
    /// How long a process that migrates keeps others from it after its last statement. Whoever was killed meanwhile holds up the next
    /// start by no more; whoever needs longer for one statement finds that another went on, and stops.
    pub const LOCK_MS: u64 = 5_000;
    /// Between two looks whether another instance is through.
    pub const BETWEEN_LOOKS_MS: u64 = 10;
    /// How long an instance waits for another that migrates, before it answers that the database is not available: a lock that nobody
    /// holds any more, and then the migrations.
    pub const WAIT_MS: u64 = 10_000;
}

/// Fetching a page and keeping its result: what one job may cost.
pub mod scrape {
    /// Jobs that one invocation of a scraper has in flight. Fetches wait for the network most of the time.
    pub const IN_FLIGHT_MAX: usize = 32;
    /// Jobs asked for in one claim: half of what may be in flight, so that several workers share a burst.
    pub const CLAIMED_MAX: usize = IN_FLIGHT_MAX / 2;
    /// Bytes of one body that every job may hold without asking; nine of ten pages are smaller.
    pub const BODY_BYTES_FREE: usize = 512 * 1024;
    /// Bodies larger than that which one invocation reads at once, so that huge pages do not add up: 6 × 10 MiB.
    pub const LARGE_BODIES_MAX: usize = 6;
    /// Of these, those of one account: pages that are slow on purpose leave places for others.
    pub const LARGE_BODIES_OF_ACCOUNT_MAX: usize = LARGE_BODIES_MAX / 2;
    /// What such a body has to bring in each `LARGE_BODY_EVERY_MS`: six that drip would keep all other large pages out for whole attempts.
    /// At this rate `BODY_BYTES_FREE` alone would take nearly an attempt (`ATTEMPT_MS_MAX`), so hardly any that could end is cut off.
    pub const LARGE_BODY_BYTES_MIN: usize = 64 * 1024;
    /// Long enough for a few lost packets and for what else an instance computes meanwhile, short beside an attempt.
    pub const LARGE_BODY_EVERY_MS: u64 = 5_000;
    /// After so many pieces of a body the other jobs of the instance have their turn. Most pages are one or two; a large one that comes
    /// quickly has some hundred.
    pub const PIECES_IN_A_ROW: u32 = 16;
    /// A lease outlasts the longest attempt (`ATTEMPT_MS_MAX`) and the parse after it.
    pub const LEASE_S: u32 = 60;
    /// The shortest lease that can be configured: renewed at a third of its age, on a beat of one second.
    pub const LEASE_S_MIN: u32 = 3;
    /// One attempt: robots.txt, all redirects and the body.
    pub const ATTEMPT_MS_MAX: u64 = 45_000;
    /// A job that may not ask a host yet waits for so long in its place, and else comes back later: fifty starts at the usual pace of a
    /// host (`queue::HOST_GAP_MS`), a small part of an attempt.
    pub const START_WAIT_MS_MAX: u64 = 5_000;
    /// A job that was led to a host which may not be asked yet comes back at some time after it may, within so much or the wait itself:
    /// of many that were led there at once not all come at once again.
    pub const POSTPONED_MS: u64 = 60_000;
    /// So often that time doubles, each time that a job was given back: to an hour and four minutes.
    pub const POSTPONED_DOUBLINGS: u32 = 6;
    /// Whoever waits for a start looks again no sooner than this, also where another one's turn has come: that one is claimed within
    /// `RING_EVERY_MS`.
    pub const START_LOOK_MS: u64 = 10;
    /// After this an invocation ends as soon as nothing is in flight: what it holds in memory ends with it.
    pub const INVOCATION_MS_MAX: u64 = 20_000;
    /// An invocation that never has nothing in flight claims nothing new after this, less up to a quarter; the next ring or tick
    /// starts another one. Long beside an attempt, so that the time in which it only waits for slow pages is a small part.
    pub const CLAIMING_MS_MAX: u64 = 150_000;
    /// No job that runs alone is begun after this, so that they never keep the others out for long.
    pub const ALONE_MS_MAX: u64 = 10_000;
    /// Slots beside `IN_FLIGHT_MAX` for accounts with hardly anything in flight, while one with many slow pages has all of those:
    /// a fifth of all.
    pub const SPARE_MAX: usize = IN_FLIGHT_MAX / 4;
    /// With nothing to claim, an invocation looks for more before it returns, each look being one read: soon at first, since whoever waits
    /// for one page before it asks for the next comes at once, then twice as late each time, up to `LINGER_LOOK_MS`.
    pub const LINGER_FIRST_MS: u64 = 3;
    /// Between two later looks.
    pub const LINGER_LOOK_MS: u64 = 30;
    /// After so many in vain it returns.
    pub const LINGER_LOOKS: u32 = 8;
    /// The wait for the next look after so many in vain.
    #[must_use]
    pub const fn linger_ms(looks_in_vain: u32) -> u64 {
        match LINGER_FIRST_MS.checked_shl(looks_in_vain) {
            Some(after_ms) if after_ms < LINGER_LOOK_MS => after_ms,
            _ => LINGER_LOOK_MS,
        }
    }
    /// All these waits together: longer than rings are coalesced (`bell::COALESCED_MS`) and than the usual pause between two pages of a
    /// host (`queue::HOST_GAP_MS`).
    pub const LINGER_MS: u64 = {
        let (mut sum_ms, mut looks) = (0, 0);
        while looks < LINGER_LOOKS {
            sum_ms += linger_ms(looks);
            looks += 1;
        }
        sum_ms
    };
    /// The callback queue is looked at, and rung for, once in this time, like rings are coalesced.
    pub const RING_EVERY_MS: u64 = super::bell::COALESCED_MS;
    /// A worker most of whose slots are taken looks this often for accounts with hardly anything in flight: one of them should
    /// not notice that another account has everything. It is a read, and holds up no write.
    pub const WATCH_EVERY_MS: u64 = 20;
    /// Leases and the wish to stop are looked after this often.
    pub const BEAT_MS: u64 = 1_000;
    /// Running jobs get this long after they saw the wish to stop, which takes a second or two; then they are given back.
    pub const STOP_MS_MAX: u64 = 9_500;
    /// Finished jobs wait at most this long for others to share their statement.
    pub const GATHER_MS: u64 = 4;
    /// Finished jobs in one statement.
    pub const GATHERED_MAX: usize = 16;
    /// Encoded bytes in one finishing statement: page bodies must not hold up the writer.
    pub const GATHERED_BYTES_MAX: usize = 4 * 1024 * 1024;
    /// A larger result is recorded before the next page is unpacked, so that large ones do not add up in memory while a disk is slow.
    pub const RESULT_BYTES_FREE: usize = 1024 * 1024;
    /// Bytes of a response as sent.
    pub const WIRE_BYTES_MAX: usize = 10 * 1024 * 1024;
    /// Bytes of a response when unpacked.
    pub const DECODED_BYTES_MAX: usize = 20 * 1024 * 1024;
    /// Unpacked to packed bytes, once `RATIO_FREE_BYTES` were unpacked: text reaches 20, bombs reach 1,000.
    pub const RATIO_MAX: usize = 100;
    /// Up to here a high ratio is nothing to worry about.
    pub const RATIO_FREE_BYTES: usize = 1024 * 1024;
    /// Content encodings laid over each other.
    pub const ENCODINGS_MAX: usize = 2;
    /// Members of gzip and frames of zstd in one body, whose cost is not told by what comes out of them: each makes the decoder begin
    /// anew. One is the rule; the most that tools make are those of BGZF, which hold 64 KiB each: 320 in the largest page.
    pub const MEMBERS_MAX: usize = 2_000;
    /// Window that a zstd frame may ask for (RFC 8878, section 3.1.1.1.2, recommends 8 MiB for decoders).
    pub const ZSTD_WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;
    /// A stored result: a page at its largest, escaped as JSON, in two forms.
    pub const RESULT_BYTES_MAX: usize = 96 * 1024 * 1024;
    /// Results with the hash of a request that are looked at for its last one. As a rule the newest is the one; an account that makes
    /// others with one hash must not have the readers walk them all.
    pub const LAST_RESULTS_MAX: i64 = 100;
    /// Bodies shorter than this are stored as they are.
    pub const PACKED_BYTES_MIN: usize = 256;
    /// CPU work between two yields to the other tasks of the instance.
    pub const YIELD_AFTER_MS: u64 = 5;
    /// Accounts that are remembered in the order in which they were served; with more, the one that was served first counts as new again.
    pub const SERVED_MAX: usize = 256;
    /// A page that took this long to be read is followed by a rest, in which the instance's other jobs go on.
    pub const LONG_PAGE_MS: u64 = 100;
    /// The rest is this part of what the page took: a small page needs about ten steps, each of which would else wait for another long
    /// page to be read.
    pub const REST_PART: u64 = 16;

    const _: () = assert!(
        ATTEMPT_MS_MAX < LEASE_S as u64 * 1_000,
        "a lease outlasts an attempt"
    );
    const _: () = assert!(
        LINGER_MS > super::bell::COALESCED_MS && LINGER_MS > super::queue::HOST_GAP_MS,
        "a worker lingers longer than rings are coalesced, and than a host's usual pause"
    );
    const _: () = assert!(
        DECODED_BYTES_MAX < RESULT_BYTES_MAX,
        "a page fits into a result"
    );
    const _: () = assert!(
        RESULT_BYTES_MAX < super::sqlite::RESULT_BYTES_MAX,
        "a result can be read again"
    );
}

/// Sending callbacks.
pub mod callback {
    /// Endpoints remembered by one invocation; all are forgotten together when there are more.
    pub const REMEMBERED_MAX: usize = 64;
    /// Callbacks that one invocation has in flight.
    pub const IN_FLIGHT_MAX: usize = 64;
    /// Callbacks asked for in one claim.
    pub const CLAIMED_MAX: usize = IN_FLIGHT_MAX / 2;
    /// Slots beside `IN_FLIGHT_MAX` for accounts with hardly anything in flight, while one with many dead endpoints has all of
    /// those: a fifth of all.
    pub const SPARE_MAX: usize = IN_FLIGHT_MAX / 4;
    /// Deliveries wait at most this long for others to share their statement. Until it is recorded a delivery keeps its endpoint's
    /// slot, and would be sent again after a crash.
    pub const GATHER_MS: u64 = 3;
    /// Deliveries in one statement.
    pub const GATHERED_MAX: usize = 16;
    /// One attempt, from dialling to the end of the answer.
    pub const ATTEMPT_MS_MAX: u64 = 15_000;
    /// So long a callback for which no connection was free is held before somebody else may have it.
    pub const BUSY_MS: u64 = 1_000;
    /// Bytes of an answer that are read; the rest is of no interest.
    pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
    /// Bytes of a callback's body, so that the smallest receivers take it.
    pub const BODY_BYTES_MAX: usize = 20_000 - 1;
    /// What a long text is cut to when the body would be too long. JSON makes at most six bytes of one; the label has 100 characters.
    pub const CUT_BYTES_MAX: usize = 1_400;

    const _: () = assert!(
        2 * 6 * CUT_BYTES_MAX + 2_000 < BODY_BYTES_MAX,
        "two cut texts fit"
    );
}

/// The clock's work.
pub mod sweep {
    /// Expired leases are looked for this often, per node.
    pub const RESCUE_EVERY_MS: u64 = 5_000;
    /// Spread of that time, so that nodes do not sweep together.
    pub const RESCUE_SPREAD_PERCENT: u64 = 20;
    /// Old results and messages are removed this often.
    pub const PURGE_EVERY_MS: u64 = 60_000;
    /// The chores of a tick are done at most this often by one instance; a little under the second between two ticks.
    pub const CHORES_EVERY_MS: u64 = 900;
    /// How late a tick may come and still do what was due: ticks come once a second.
    pub const TICK_LATE_MS: u64 = 1_100;
    /// Rows removed at once: a short statement, so that nobody waits for it.
    pub const PURGE_ROWS_MAX: u32 = 500;
    /// Bytes of results removed at once: about 60 ms, since a gigabyte that is not in memory took 0.9 s.
    pub const PURGE_BYTES_MAX: u64 = 64 * 1_024 * 1_024;
    /// Such rounds in a row. When the last of them was full the next second goes on: up to 4,000 rows of each table a second,
    /// several times the jobs that a node of two cores does.
    pub const PURGES_MAX: u32 = 8;
}

/// What a page fetch may cost: URLs, redirects, bytes.
pub mod fetch {
    /// A URL, as given and as parsed: RFC 9110 (4.1) asks for at least 8,000 octets, and real pages stay under it.
    pub const URL_BYTES_MAX: usize = 8_000;
    /// Octets of a host name without its trailing dot (RFC 1035, 2.3.4).
    pub const HOST_BYTES_MAX: usize = 253;
    /// Octets of one label (RFC 1035, 2.3.4).
    pub const LABEL_BYTES_MAX: usize = 63;
    /// Redirects of one page: what browsers' users meet in practice is five at most; curl's and Go's default is 10.
    pub const REDIRECTS_SCRAPE_MAX: usize = 10;
    /// Redirects of robots.txt that RFC 9309 (2.3.1.2) asks a crawler to follow.
    pub const REDIRECTS_ROBOTS_MAX: usize = 5;
    /// A page that sends its visitor on by itself is followed when it does so within this: those that are nothing else do it at once
    /// or let a line be read first, and what comes later is the next picture of a show, or news.
    pub const REFRESH_S_MAX: u64 = 5;
    /// Bytes of such a page, unpacked: a sentence, a link and some style. A longer one has something to read of its own.
    pub const REFRESH_PAGE_BYTES_MAX: usize = 16 * 1_024;
    /// Bytes that are looked at to tell what an undeclared body is (WHATWG MIME Sniffing, resource header).
    pub const SNIFF_BYTES: usize = 1_445;
    /// Cookies of one job's redirect chain (RFC 6265, 6.1 asks for 50 per domain).
    pub const COOKIES_MAX: usize = 50;
    /// Bytes of one cookie's name and value together (RFC 6265, 6.1).
    pub const COOKIE_BYTES_MAX: usize = 4_096;
    /// Bytes of the `Cookie` field that is sent: many servers refuse a line over 8 KiB.
    pub const COOKIE_HEADER_BYTES_MAX: usize = 8_000;
}

/// robots.txt.
pub mod robots {
    /// Bytes that are read (RFC 9309, 2.5 asks for at least 500 KiB); the rest is cut at the last whole line.
    pub const BODY_BYTES_MAX: usize = 500 * 1_024;
    /// Bytes of one that comes packed: what is cut off can't be unpacked, so all of it is read first. Texts of rules shrink to a tenth.
    pub const PACKED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
    /// Bytes of one line; Google's parser cuts at eight times the longest URL of old browsers.
    pub const LINE_BYTES_MAX: usize = 8 * 2_083;
    /// How long a copy is used (RFC 9309, 2.4: not more than 24 hours).
    pub const FRESH_MS: i64 = 24 * 3_600_000;
    /// The longest wait between two tries of a silent host: so late, at most, its pages begin again when it answers.
    pub const UNREACHABLE_RETRY_MS: i64 = 15_000;
    /// After this long without an answer, a robots.txt counts as missing (RFC 9309, 2.3.1.4).
    pub const UNREACHABLE_MS_MAX: i64 = 30 * 24 * 3_600_000;
    /// An unreachable host is asked again after as long as it has been silent, at least this. Jobs wait until then, so that their
    /// attempts meet a new answer: the sixth comes 39 s after the first, and after 75 to 90 s where the host was silent for long
    /// (`queue::ATTEMPTS_MAX`). Whoever mistyped a name should not wait for minutes to be told.
    pub const ASKED_AGAIN_MS_MIN: i64 = 3_000;
    /// Bytes of paths that are searched for one verdict, summed over the rules with a star that are tried; where that is not enough, the
    /// answer is no. Real files have less than a thousand such rules and paths less than 200 bytes, which is a 150th of it; the worst
    /// file of the size that is read, with the longest URL, would make over ten times as much: 0.6 s of a core on each hop.
    pub const VERDICT_BYTES_MAX: usize = 32 * 1_024 * 1_024;
    /// Authorities remembered by one invocation; all are forgotten together when there are more.
    pub const REMEMBERED_MAX: usize = 256;
    /// Bytes of memory for what is remembered of them; all are forgotten together when it is more. A text of short rules takes five
    /// times its size once it is read, so that 256 of the largest would fill an instance twice; real ones take a few kilobytes.
    pub const REMEMBERED_BYTES_MAX: usize = 32 * 1_024 * 1_024;
    /// A crawl delay is honoured up to an hour, as a `Retry-After` is (`queue::RETRY_AFTER_MS_MAX`): it costs a job that waits no attempt.
    pub const CRAWL_DELAY_MS_MAX: u64 = 3_600_000;
    /// Directives of `X-Robots-Tag` that are reported; there are about a dozen real ones.
    pub const DIRECTIVES_MAX: usize = 32;
}

/// The queue of messages.
pub mod queue {
    /// Unfinished messages of one tenant, unless configured: a day's work of one machine at ten pages a second.
    pub const TENANT_MAX: u64 = 1_000_000;
    /// Unfinished messages of all tenants, unless configured: about 1 GB of rows when URLs are as long as they usually are. A page's
    /// and a callback's may have 8,000 bytes each ([`super::fetch::URL_BYTES_MAX`]), which makes 64 GB, and 16 GB of one tenant:
    /// who takes messages from strangers configures both lower, to what the disk holds.
    pub const TOTAL_MAX: u64 = 4_000_000;
    /// Jobs of one host at once, unless set per host: fewer than a browser's six connections.
    pub const HOST_IN_FLIGHT_MAX: u32 = 4;
    /// Least time between two starts on one host, unless set per host. A site that is named in many requests sees ten a second.
    pub const HOST_GAP_MS: u64 = 100;
    /// What that may be set to: a day. Who wants a site left alone for longer asks for it less often; and a number that the database
    /// can't add to the time would be no pace at all.
    pub const HOST_GAP_MS_MAX: u64 = 86_400_000;
    /// Jobs per claim that anybody may ask for: a claim stays a short write.
    pub const CLAIM_MAX: u32 = 256;
    /// A worker with nothing else to do waits for a host whose gap is over within this: one beat of the clock, which would come too
    /// late for it. While it waits it looks as often as ever.
    pub const SOON_MS: u32 = 1_000;
    /// A job's leases are never extended past this: the longest attempt, several times over.
    pub const JOB_MS_MAX: i64 = 300_000;
    /// An account with fewer jobs of a kind in flight than this may use the spare slots.
    pub const SPARE_LEASED_MAX: u32 = 4;
    /// Accounts that have little in flight and something waiting that one claim looks at, twice: from the first such account on, and
    /// from a drawn one on. So many of the oldest unfinished rows of each it looks at, and of the newest: four thousand rows at the
    /// most, which is a millisecond.
    pub const SPARE_ACCOUNTS: u32 = 32;
    /// Callbacks in the order of the queue among which such accounts are looked for.
    pub const SPARE_LOOKS: u32 = 256;
    /// Workers that may die with a message before it is given up as poison (BullMQ 1, Sidekiq 3, RabbitMQ 20).
    pub const CRASHES_MAX: u32 = 3;
    /// Claims of a message, or of a callback, up to which the death of a whole host is not held against it: then it counts as a crash
    /// like any other, so that one that takes its host with it each time ends as well. Ten kills that meet the same page each time it is
    /// tried are no accident.
    pub const CLAIMS_FORGIVEN_MAX: u32 = 10;
    /// Attempts of one job; with the base below the last comes at most a minute after the first, half of it on average. (What a page
    /// asks for in `Retry-After` takes the place of such a wait, and `robots::ASKED_AGAIN_MS_MIN` does where a host can't be reached.)
    pub const ATTEMPTS_MAX: u32 = 6;
    /// Bound of the first retry's draw; it doubles from there.
    pub const RETRY_BASE_MS: u64 = 2_000;
    /// The cap of the bound. Six attempts do not reach it, their longest wait is 32 s; it is there for more of them.
    pub const RETRY_CAP_MS: u64 = 600_000;
    /// A `Retry-After` is honoured up to an hour; a longer one counts as one.
    pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
    /// Rows that one statement of the clock moves: some 10 ms of the writer.
    pub const SWEEP_ROWS_MAX: u32 = 500;
    /// Such statements in a row on one tick, so that a tick ends.
    pub const SWEEPS_MAX: u32 = 20;
    /// Rows that one step of a replay looks at: no more of the writer than a sweep.
    pub const REPLAY_ROWS_MAX: u32 = SWEEP_ROWS_MAX;
    /// Such steps in one request, so that it ends within the front door's deadline: 100,000 messages. The answer
    /// says where to go on.
    pub const REPLAY_STEPS_MAX: u32 = 200;
    /// What could not be written down is done again after this, and after twice as long each time.
    pub const PUT_BACK_MS: u64 = 1_000;
    /// So often that time doubles: to a minute. A site that is fetched again while a disk is full for hours has no part in it.
    pub const PUT_BACK_DOUBLINGS: u32 = 6;
    /// Waits between tries while the database is busy: 6 s in all, a tenth of a lease, and never more than a third of one: it is renewed
    /// by then, and must last until what waits has been given back.
    pub const PATIENCE_MS: [u64; 6] = [100, 200, 400, 800, 1_600, 3_200];
    /// Rows that a purge looks at for each row that it may delete.
    pub const PURGE_LOOKS: u32 = 4;
    /// Rows in one answer of a list, and of what happened to one message: its owner can make more happen without end.
    pub const LIST_MAX: u32 = 1_000;
    /// A host that nothing was started on for this long is forgotten, unless an operator set its pace: longer than any gap.
    pub const HOST_FORGOTTEN_MS: i64 = 7 * 86_400_000;
    /// An endpoint that last failed so long ago is forgotten: longer than the schedule of a callback, and than what disables.
    pub const ENDPOINT_FORGOTTEN_MS: i64 = 30 * 86_400_000;
    /// Days that a result is kept, unless configured: time enough to fetch it again after a long absence.
    pub const RESULT_DAYS: u32 = 30;
    /// Days that a finished message is kept, unless configured: what became of it can be asked for a quarter of a year.
    pub const MESSAGE_DAYS: u32 = 90;
    /// Kept malformed requests go after this.
    pub const DEAD_REQUEST_DAYS: u32 = 30;
    /// The use of an API key is written down at most this often.
    pub const KEY_USED_EVERY_MS: i64 = 3_600_000;
    /// The secret before a rotation signs beside the new one for this long.
    pub const SECRET_OVERLAP_MS: i64 = 24 * 3_600_000;

    const _: () = assert!(
        JOB_MS_MAX > super::scrape::LEASE_S as i64 * 1_000,
        "a lease fits into a job's time"
    );
}

/// The outbox: tries and endpoints.
pub mod outbox {
    /// Waits before each attempt (Standard Webhooks 1.0, "Retries", with the tail of our rules): 75.6 h in all.
    pub const SCHEDULE_MS: [u64; 10] = [
        0,
        5_000,
        300_000,
        1_800_000,
        2 * 3_600_000,
        5 * 3_600_000,
        10 * 3_600_000,
        14 * 3_600_000,
        20 * 3_600_000,
        24 * 3_600_000,
    ];
    /// Attempts of one callback.
    pub const ATTEMPTS_MAX: u32 = SCHEDULE_MS.len() as u32;
    /// Each wait varies by this share, so that an endpoint that comes back is not hit by all at once.
    pub const JITTER_PERCENT: u64 = 10;
    /// A message that would be removed earlier stays so long for a callback that may be tried again: longer than the schedule.
    pub const KEPT_MS: u64 = 4 * 86_400_000;
    const _: () = {
        let (mut schedule_ms, mut next) = (0, 0);
        while next < SCHEDULE_MS.len() {
            schedule_ms += SCHEDULE_MS[next];
            next += 1;
        }
        assert!(KEPT_MS * 100 > schedule_ms * (100 + JITTER_PERCENT));
    };
    /// Callbacks to one endpoint at once. The trigger that hands out the slots holds the same number.
    pub const ENDPOINT_IN_FLIGHT_MAX: u32 = 4;
    /// How long an endpoint is held back that says "not now" and not for how long.
    pub const THROTTLE_MS: u64 = 60_000;
    /// An endpoint without a success for this long, with failures on at least `DISABLE_DAYS_MIN` days, is disabled.
    pub const DISABLE_AFTER_MS: i64 = 5 * 86_400_000;
    /// See `DISABLE_AFTER_MS`.
    pub const DISABLE_DAYS_MIN: u32 = 2;
}

/// The throttle of log-ins and registrations. Its counts are removed `NAME_FORGIVEN_MS` after the last, when no rule needs them.
pub mod login {
    /// Failures of one name before it waits.
    pub const NAME_FREE: u64 = 5;
    /// The first wait of a name; it doubles from there.
    pub const NAME_BASE_MS: i64 = 1_000;
    /// The longest wait of a name: a guesser gets a hundred a day, an owner who mistyped is not locked out for long.
    pub const NAME_CAP_MS: i64 = 900_000;
    /// A name's failures are forgotten after this long without one.
    pub const NAME_FORGIVEN_MS: i64 = 86_400_000;
    /// Failures of one network (an IPv4 address, an IPv6 /64) in a window.
    pub const ADDRESS_FAILURES_MAX: u64 = 10;
    /// The window of a network.
    pub const ADDRESS_WINDOW_MS: i64 = 60_000;
    /// Registrations of one network in a window, whatever comes of them: each account has a fair share of the queue, so whoever
    /// makes many takes the others'. A class or an office still gets in.
    pub const REGISTRATIONS_MAX: u64 = 20;
    /// How often a try asks again because another of the same name or network was counted meanwhile: past this more of them come at once
    /// than either may have failures.
    pub const COUNTED_AT_ONCE_MAX: u64 = 2 * ADDRESS_FAILURES_MAX;
    /// The window of registrations.
    pub const REGISTRATION_WINDOW_MS: i64 = 3_600_000;

    const _: () = assert!(
        REGISTRATION_WINDOW_MS <= NAME_FORGIVEN_MS && ADDRESS_WINDOW_MS <= NAME_FORGIVEN_MS,
        "no count is removed within its window"
    );
}

/// The local host: instances, the doorbell, and stopping.
pub mod host {
    /// Ticks in a second in which Linux tells programs of processor time, on every kind of processor it still runs on (time(7)).
    pub const USER_HZ: f64 = 100.0;
    /// Instances that may exist at once; each reserves address space, not memory. Twice what the front door lets in per replica.
    pub const INSTANCES_MAX: u32 = 512;
    /// A request for which no instance can be made waits so long for one: longer than one without work keeps its place.
    pub const INSTANCE_WAIT_MS: u64 = IDLE_INSTANCE_MS + 1_000;
    /// While requests wait for an instance it is looked so often whether one computes for long, or whether there is a place now: a few
    /// times what a request takes, and short enough to be waited for.
    pub const QUEUE_LOOK_MS: u64 = 5;
    /// An instance that has made so many pauses in what it computes keeps nobody waiting: whoever comes gets another one. The first
    /// says no more than that it did something when the clock struck, or had done nothing before; a request takes less than from one to
    /// the next.
    pub const PAUSES_LONG: u32 = 2;
    /// The same for one that is at it for so long without a pause: it is still to be begun, or waits in a call that stops all else in it.
    pub const COMPUTES_LONG_MS: u64 = 2 * YIELD_MS;
    /// Requests that an instance takes before it gives its thread to those whom it has answered.
    pub const REQUESTS_IN_A_TURN: usize = 16;
    /// Memory of one instance: pages in flight, one unpacked, and one result in the making, with room to spare.
    pub const INSTANCE_MEMORY_MB_MAX: usize = 512;
    /// Bytes of answers that one instance still writes when further requests get other instances: results are up to 20 MiB, and 60
    /// where no byte was text, and a client may leave them unread for 30 s.
    pub const INSTANCE_WRITES_BYTES: u64 = 128 * 1024 * 1024;
    /// What an operator may set it to, in MiB: an instance does not start in less, and memories of 32 bits end there.
    pub const INSTANCE_MEMORY_MB: std::ops::RangeInclusive<usize> = 16..=4_096;
    /// Time after which a busy guest lets others have its thread.
    pub const YIELD_MS: u64 = 10;
    /// Empty slots whose code image stays mapped for the next instance: as many as are in use at once on a few cores.
    pub const WARM_SLOTS_MAX: u32 = 32;
    /// Bytes of an empty slot's memory, and of its tables, that stay resident. Nothing: a slot that was used once would keep them
    /// for ever, forty of them a fifth of a host that has nothing to do, and instances are made a few times a second at most.
    pub const KEPT_BYTES: usize = 0;
    /// Compiled code that no start has used for so long is removed when other code is kept: each version of a component leaves some
    /// megabytes, and who goes back to the one before does it sooner.
    pub const CODE_UNUSED_S_MAX: u64 = 30 * 86_400;
    /// Requests that one instance works on at once (Spin's default).
    pub const CONCURRENT_PER_INSTANCE_MAX: usize = 16;
    /// Requests that one instance serves in its life: what it leaks or fragments ends with it.
    pub const REQUESTS_PER_INSTANCE_MAX: usize = 1_000;
    /// An instance without work is dropped after this: longer than the pauses of a busy minute, short enough to give memory back.
    pub const IDLE_INSTANCE_MS: u64 = 2_000;
    /// One request in a component; the front door gives up before.
    pub const REQUEST_MS_MAX: u64 = 60_000;
    /// An answer's head waits this long for its body, so that both go out in one write: longer than a guest needs between the
    /// two, too short to be felt where it streams.
    pub const GATHER_MS: u64 = 5;
    /// Bytes of a body for which its head waits. What is gathered whole gives its place back before it is read, so that this is longer
    /// than all that is answered without a token; 1,024 connections could hold 64 MiB so.
    pub const GATHER_BYTES: usize = 64 * 1024;
    /// Requests that bring work and wait for an answer while workers work beside them; with more, the front door goes first. More than a
    /// few clients make when each waits for its answer, and less than a burst.
    pub const REQUESTS_BEFORE_WORK: usize = 4;
    /// For this long, at most, workers stand still then: a burst of some hundreds is answered whole in it. Far shorter than what they,
    /// and those whom they talk to, wait for.
    pub const STAND_MS: u64 = 100;
    /// After that, in one piece or in several, they work for this long before they stand still again.
    pub const WORK_MS: u64 = 25;
    /// The same when hardly one was answered while they stood still: it is not they who hold the front door up.
    pub const WORK_ALONE_MS: u64 = 1_000;
    /// That is so when fewer were answered than this part of those that waited. Of those of a burst most are, in that time.
    pub const ANSWERED_PART: usize = 8;
    /// For so long they can stand still in one go, but for those pauses: some thousands of requests are answered in it.
    pub const STAND_IN_A_ROW_MS: u64 = 2_000;
    /// It comes back in time: in a crowd that does not end they stand still for a fifth of it.
    pub const STAND_PART: u32 = 5;
    /// One invocation by the doorbell: no run of a worker comes near it, so what reaches it hangs.
    pub const INVOCATION_MS_MAX: u64 = 300_000;
    /// A guest called by the doorbell computes for so long at a stretch, without a pause for anything it waits for: what it has claimed
    /// was given to others long ago, since leases are renewed in pauses.
    pub const COMPUTING_MS_MAX: u64 = 2 * super::scrape::LEASE_S as u64 * 1_000;
    /// Invocations in one instance of a worker.
    pub const INVOCATIONS_PER_INSTANCE_MAX: usize = 128;
    /// Payloads that wait for a component which gets each message.
    pub const PAYLOADS_WAITING_MAX: usize = 65_536;
    /// Bytes of those payloads.
    pub const PAYLOAD_BYTES_WAITING_MAX: usize = 64 * 1024 * 1024;
    /// Payloads that one instance works on at once, as many as Spin gives requests to an instance.
    pub const PAYLOADS_TOGETHER_MAX: usize = 16;
    /// Bytes of them, but for a single one: each is held several times while it is read.
    pub const PAYLOAD_BYTES_TOGETHER_MAX: usize = 1024 * 1024;
    /// Files that are open beside the clients' connections: those to replicas, to the web and to name servers, the database, Redis.
    pub const OPEN_FILES_BESIDE_CONNECTIONS: usize = super::outbound::CONNECTIONS_MAX
        + super::outbound::LOOKUPS_MAX
        + 4 * super::balance::REMOTE_CONCURRENCY_MAX
        + 256;
    /// When memory is given back once more after a busy time, which ended a look before that was noticed: the connections
    /// that it left behind are closed by then (looked for every quarter of [`super::outbound::IDLE_MS_MAX`]), and were 15 MB.
    pub const QUIET_AGAIN_MS: u64 = super::outbound::IDLE_MS_MAX * 5 / 4 - QUIET_LOOK_MS;
    /// How often is looked whether a busy time is over.
    pub const QUIET_LOOK_MS: u64 = 5_000;
    /// Statements between two looks in a quiet time: a few times what the clock alone leads to.
    pub const QUIET_STATEMENTS_MAX: u64 = 250;
    /// A time is quiet too when less was done than this part of the busiest.
    pub const QUIET_PART: u64 = 8;
    /// Statements of a quiet time after a busy one after which the page caches are worth emptying again: each reads some pages
    /// anew, of 4 KB, and the caches hold 12 MB in all.
    pub const TRICKLE_STATEMENTS_MIN: u64 = 500;
    /// Statements after which there is something to give back: a thousand jobs.
    pub const BURST_STATEMENTS_MIN: u64 = 5_000;
    /// The clock rings this often.
    pub const TICK_MS: u64 = 1_000;
    /// Connecting to Redis.
    pub const REDIS_CONNECT_MS: u64 = 5_000;
    /// Waiting for an answer of Redis.
    pub const REDIS_ANSWER_MS: u64 = 10_000;
    /// A subscription that brought nothing for this long is asked whether it is still there: a connection that a NAT or a
    /// failover forgot never says so by itself. Longer than the clock's beat, so that one which ticks is hardly ever asked.
    pub const REDIS_SILENCE_MS: u64 = 2 * TICK_MS;
    /// It must answer within this; a server that takes longer is no doorbell.
    pub const REDIS_SIGN_OF_LIFE_MS: u64 = 3_000;
    /// How long a host that is to end waits for what a Redis server has told others that it heard.
    pub const REDIS_HEAR_OUT_MS: u64 = 1_000;
    /// Beats of the clock that may pass without a tick from Redis, whoever rang it there; then it rings here.
    pub const BEATS_UNHEARD_MAX: u32 = 2;
    /// The longest wait between two attempts to reach a Redis that is gone.
    pub const REDIS_RETRY_MS_MAX: u64 = 5_000;
    /// Open connections to Redis and to the database in one instance (Spin's number for the latter).
    pub const CONNECTIONS_PER_INSTANCE_MAX: usize = 256;
    /// The database has this long to be closed: its last checkpoint takes less than a second.
    pub const CLOSE_MS_MAX: u64 = 2_000;
    /// A line that a component prints is cut after this.
    pub const LOG_LINE_BYTES_MAX: usize = 4_096;
    /// A line that a component prints again and again is logged once in this time.
    pub const REPEATED_LINE_MS: u64 = 60_000;

    const _: () = assert!(
        super::scrape::ALONE_MS_MAX
            + super::scrape::CLAIMING_MS_MAX
            + 2 * super::scrape::ATTEMPT_MS_MAX
            < INVOCATION_MS_MAX,
        "a worker ends by itself before it is ended"
    );
}

/// Bytes to text.
pub mod charset {
    /// Bytes in which a page should declare its encoding (WHATWG HTML, 13.2.3.2).
    pub const PRESCAN_BYTES: usize = 1_024;
    /// A `<meta>` in the head is still found here, where a browser would meet it while parsing.
    pub const LATE_META_BYTES: usize = 64 * 1_024;
    /// Bytes that a guess looks at: more hardly changes it.
    pub const GUESS_BYTES: usize = 64 * 1_024;
}

/// Accounts, passwords and tokens.
pub mod account {
    /// Characters of a password, without a second factor (NIST SP 800-63B, as OWASP reads it).
    pub const PASSWORD_CHARS_MIN: usize = 15;
    /// Characters of a password; longer ones are refused, never cut.
    pub const PASSWORD_CHARS_MAX: usize = 128;
    /// Bytes of a password: four for each character.
    pub const PASSWORD_BYTES_MAX: usize = 4 * PASSWORD_CHARS_MAX;
    /// Memory of one password hash (OWASP's floor for argon2id with two passes).
    pub const HASH_MEMORY_KIB: u32 = 19_456;
    /// Passes of one password hash.
    pub const HASH_PASSES: u32 = 2;
    /// Hashes at once in all replicas of a local host: each takes a core and `HASH_MEMORY_KIB`, and the others need theirs.
    /// Stands in spin.toml, where the host finds it.
    pub const HASHES_AT_ONCE_MAX: usize = 2;
    /// Hashes that may wait, in all replicas of a local host and in each instance elsewhere: some two seconds of work. More are
    /// answered 429.
    pub const HASHES_WAITING_MAX: u32 = 48;
    /// Of both, those of one network (an IPv4 address, an IPv6 /64): less than a quarter, so that one that keeps asking leaves places for
    /// others, and few enough before them in the line. 127.0.0.1 and ::1 are exempt. Stands in spin.toml too.
    pub const HASHES_OF_NETWORK_MAX: usize = 8;
    /// How long a token lives: short, since it can't be revoked.
    pub const TOKEN_LIFE_S: u32 = 15 * 60;
    /// What clocks may differ by.
    pub const TOKEN_LEEWAY_S: i64 = 30;
    /// Bytes of a token that is looked at: ours have 300.
    pub const TOKEN_BYTES_MAX: usize = 4 * 1024;
    /// Verified tokens that an instance remembers; the map is emptied when it is full.
    pub const TOKENS_REMEMBERED_MAX: usize = 1_024;
    /// Characters of an API key's name.
    pub const KEY_NAME_CHARS_MAX: usize = 100;
    /// API keys of one account: a page of them.
    pub const KEYS_MAX: u32 = 100;
    /// Accounts that are read together when all are listed: some 100 KB.
    pub const LISTED_AT_ONCE: u32 = 500;
    /// How long a request waits until the use of its key is written down, once an hour: a flush on a slow disk, far less than a lock
    /// may take.
    pub const KEY_USED_MS_MAX: u64 = 100;
}

/// The manifest's variables.
pub mod variables {
    /// A value is asked for again after this long. The host asks its providers at each call and keeps nothing itself; and the wish
    /// to stop is a variable too, which must be seen well within the time that a host waits.
    pub const KEPT_MS: u64 = 1_000;
}

const _: () = assert!(
    variables::KEPT_MS + scrape::BEAT_MS + scrape::STOP_MS_MAX < inbound::DRAIN_MS,
    "a worker sees the wish to stop, and gives its jobs back, before its host ends"
);

/// The routes.
pub mod api {
    /// How long an instance keeps what it read from the variables; a changed secret or limit holds after this, and
    /// [`super::variables::KEPT_MS`] more.
    pub const SETTINGS_KEPT_MS: u64 = 5_000;
    /// Characters of a node's own label.
    pub const LABEL_CHARS_MAX: usize = 100;
    /// Characters of an `Idempotency-Key`: a UUID with a prefix, several times over.
    pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
    /// Characters of a CSS selector.
    pub const SELECTOR_CHARS_MAX: usize = 500;
    /// The priority of a request that names none: the middle.
    pub const PRIORITY_DEFAULT: u8 = 5;
    /// The highest priority.
    pub const PRIORITY_MAX: u8 = 9;
    /// The oldest result that may be asked for.
    pub const MAX_AGE_S_MAX: i64 = 366 * 86_400;
    /// Messages in a page of the list that names no limit.
    pub const PAGE_DEFAULT: u32 = 50;
    /// Messages in a page of the list. One more is read, to know whether there is another page.
    pub const PAGE_MAX: u32 = 500;
    /// Bytes of a page that are written as JSON at once while they are sent, at six bytes for one in the worst case. A smaller page
    /// is written as a whole, so that it leaves together with its head.
    pub const JSON_PIECE_BYTES: usize = 64 * 1024;
    /// When a client that met a full queue should come again: workers will have finished some by then.
    pub const QUEUE_FULL_RETRY_S: u64 = 5;
    /// When a client that met a locked database should come again.
    pub const DATABASE_RETRY_S: u64 = 1;
    /// `/readyz` has something written no more often than this, whoever asks and however often: a flush each. So late, at most,
    /// it notices a disk that is full.
    pub const READY_WRITE_MS: i64 = 10_000;
    /// When a client that met a deployment without a key should come again: its operator has to act.
    pub const NOT_CONFIGURED_RETRY_S: u64 = 60;
    /// When a client that met too many password hashes should come again.
    pub const HASHES_RETRY_S: u64 = 2;

    const _: () = assert!(
        PAGE_MAX < super::queue::LIST_MAX,
        "the row that tells of another page is read"
    );
}

/// Redis producers.
pub mod producers {
    /// Requests recorded together.
    pub const BATCH_MAX: usize = 100;
    /// Bytes of an entry that are read: one more than a request may have, so that it is known for too long.
    pub const ENTRY_BYTES_MAX: i64 = super::inbound::BODY_BYTES_MAX as i64 + 1;
    /// A batch takes no more entries once they have so many bytes: it stands in an instance's memory, several times over.
    pub const BATCH_BYTES_MAX: i64 = 4 * 1024 * 1024;
    /// One invocation drains the list for so long: well inside the time after which a list in progress counts as orphaned.
    pub const DRAIN_MS_MAX: u64 = 20_000;
    /// Batches in a row that a full queue gave back whole; then the list waits for the clock, so that an account that is at its
    /// limit does not keep an instance busy, nor keep others' requests behind its own for long.
    pub const BATCHES_IN_VAIN_MAX: u32 = 10;
    /// How long a request that came as a message waits while the whole queue is full, before it is put aside as dead with its reason. One
    /// of an account that is at its own limit is put aside at once.
    pub const FULL_WAIT_MS_MAX: u64 = 20_000;
    /// Pause between two tries at a full queue.
    pub const FULL_PAUSE_MS: u64 = 500;
    /// An in-progress list not touched for this long was left by a worker that died; recording a batch takes milliseconds, and one that
    /// took longer is recorded twice under the same keys, which is once.
    pub const ORPHANED_AFTER_S: i64 = 30;
    /// A script that takes longer than this means that Redis is gone.
    pub const SCRIPT_MS_MAX: u64 = 5_000;
    /// Bytes of a malformed request that are kept: as many as a good one may have, so that it can be mended and sent again.
    pub const DEAD_BODY_BYTES_MAX: usize = super::inbound::BODY_BYTES_MAX as usize;
}

/// The ring of a component, where it has to go through Redis.
pub mod bell {
    /// One ring per channel in this time. A ring that comes sooner is not left out but put off: whoever looked for the one before may
    /// have looked already, and nobody lingers for a kind of work that the one before did not bring.
    pub const COALESCED_MS: u64 = 50;
    /// Nobody waits longer than this for a doorbell.
    pub const WAITED_FOR_MS: u64 = 100;
    /// After a failure the bell stays silent for this long, so that a dead Redis costs one wait a second and not one per request.
    pub const SILENT_AFTER_FAILURE_MS: u64 = 1_000;
}

/// The domains of a page.
pub mod domains {
    /// Hosts that are told apart: ten times the busiest page of the test set; a link farm is cut, and says so.
    pub const HOSTS_MAX: usize = 2_000;
    /// Attributes of one tag that are looked at; the ones that hold URLs stand early.
    pub const ATTRIBUTES_MAX: usize = 64;
    /// Bytes at the front of an overlong URL in which its host is looked for: a host has 253 at most.
    pub const LONG_URL_HEAD_BYTES: usize = 1_000;
    /// Different words of `rel` that are kept for a domain; there are about thirty real ones.
    pub const REL_WORDS_MAX: usize = 32;
    /// Bytes of one such word: the longest real one, `apple-touch-icon-precomposed`, has 28.
    pub const REL_BYTES_MAX: usize = 40;
    /// Bytes of one JSON-LD script: its tree takes several times that.
    pub const JSON_LD_BYTES_MAX: usize = 1_024 * 1_024;
}

/// The text engine: what it reads and keeps of one page.
pub mod text {
    /// Bytes of a page that are parsed; the fetch lets no more through either.
    pub const PAGE_BYTES_MAX: usize = 20 * 1024 * 1024;
    /// Elements and runs of text: ten times the largest of 350 real pages, at some 200 bytes each with all tables.
    pub const NODES_MAX: usize = 300_000;
    /// Open elements at one time (browsers stop at 512): real pages stay under 100.
    pub const DEPTH_MAX: usize = 400;
    /// Attributes of one element.
    pub const ATTRIBUTES_MAX: usize = 64;
    /// Blocks of text that are judged, at 750 bytes each while they are: the largest of 350 real pages has 2,641.
    pub const BLOCKS_MAX: usize = 10_000;
    /// Text of a result.
    pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
    /// Its Markdown, which is longer by its links, and by the signs of quotes and lists on each line.
    pub const MARKDOWN_BYTES_MAX: usize = 3 * TEXT_BYTES_MAX;
    /// Bytes of a selector: as many as the API lets through, whatever its characters are.
    pub const SELECTOR_BYTES_MAX: usize = 4 * super::api::SELECTOR_CHARS_MAX;
    /// Names, classes and the like in it: each may cost a look at every element, and has a bit in a word of 64.
    pub const SELECTOR_TESTS_MAX: usize = 64;
    /// Bytes of attributes that a selector's `*=` search, summed over its tests; then the rest of the page is not looked at. Each other
    /// test is done with a value sooner. Enough for four such tests of all that the largest page has, and a quarter of a second of work.
    pub const SELECTOR_SEARCHED_BYTES_MAX: usize = 4 * PAGE_BYTES_MAX;
    /// JSON-LD that is parsed.
    pub const JSON_LD_BYTES_MAX: usize = 1024 * 1024;
}
