//  bench_pull.c - receives messages by PULL or SUB and measures how many come in a second
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_pull [--type pull|sub] [--warmup S | --open-at S] [--seconds S] [--count N] [--rate N]
//                 [--ack-to ENDPOINT [--batch N] | --hold] [--shared] [--stay] [--hwm N]
//                 [--reconnect MS] [--timeout S] ENDPOINT
//
//  The warm-up starts with the first message, or ends at the time of CLOCK_MONOTONIC that --open-at
//  gives, so that several programs measure at the same time. Then the window opens, for --seconds
//  (default 5), or until --count messages came, warm-up included. The rate is the messages of the
//  window over the time from its first to its last; `first` is when the first message of all came,
//  by the same clock. --rate takes no more than so many messages a second.
//
//  With --ack-to and --hold the first frame of each message is a ticket. With --ack-to tickets go
//  back by PUSH, --batch of them joined in one frame, or fewer when nothing comes; with --hold they
//  never do. Prints one line of JSON. Each producer's numbers (see bench_push.c) must come one by
//  one: what is missing or repeated is counted; with --shared other consumers get what is missing.
//  A subscriber may miss some: `lost` is that part of the window's messages. --topics says that
//  messages have a first frame, which is their topic.
//  With --stay it goes on receiving afterwards until it is killed, since a consumer that leaves
//  makes a device send again. One thread, plain libzmq.

#include "bench.h"
#include "zspool_ticket.h"

#define BATCH_MAX ZSPOOL_TICKETS_MAX //  most tickets in one frame
#define LINGER_MS 1000  //  longest wait for the last tickets to leave
#define TIMEOUT_MAX 1e6 //  seconds

typedef struct {
    const char *endpoint; //  where to receive from
    const char *ack_to;   //  where tickets go, or NULL
    int batch;            //  tickets in one frame
    bool hold;            //  tickets come, and are kept
    bool shared;          //  other consumers get messages too
    bool subscribe;       //  by SUB; else PULL
    bool topics;          //  the first frame is a topic
    bool stay;            //  until killed
    double rate;          //  messages a second; 0: no limit
    double warmup;        //  before the window, seconds
    double open_at;       //  when the window opens, monotonic seconds; 0: after the warm-up
    double seconds;       //  length of the window; 0: no limit
    uint64_t count;       //  messages, warm-up included; 0: no limit
    double timeout;       //  longest time without a message, seconds
    int hwm;              //  high-water marks, messages
    int reconnect_ms;     //  between attempts to connect
} options_t;

typedef struct {
    void *socket;           //  PULL
    void *acks;             //  PUSH to the device's ack-in, or NULL
    zmq_msg_t message;      //  the frame received last
    uint64_t total;         //  messages received
    uint64_t last [BENCH_PRODUCERS_MAX]; //  each producer's last number, 0 before the first
    uint64_t gaps;          //  numbers that were left out
    uint64_t repeats;       //  messages whose number had come before
    size_t bytes;           //  size of the last message without its ticket
    bool has_tickets;       //  each message starts with one
    bool shared;            //  other consumers get messages too
    bool has_topics;        //  the first frame is a topic
    double rate;            //  messages a second; 0: no limit
    int64_t first_ns;       //  when the first message came
    int batch;              //  tickets in one frame
    int tickets;            //  collected now
    char ticket [BATCH_MAX][ZSPOOL_TICKET_BYTES];
} self_t;

static options_t
s_options (int argc, char **argv)
{
    static const struct option names [] = {
        {"warmup", required_argument, NULL, 'w'}, {"seconds", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'c'},  {"ack-to", required_argument, NULL, 'a'},
        {"batch", required_argument, NULL, 'b'},  {"hwm", required_argument, NULL, 'h'},
        {"timeout", required_argument, NULL, 't'}, {"open-at", required_argument, NULL, 'o'},
        {"rate", required_argument, NULL, 'r'},   {"hold", no_argument, NULL, 'k'},
        {"shared", no_argument, NULL, 'm'},       {"stay", no_argument, NULL, 'y'},
        {"reconnect", required_argument, NULL, 'i'}, {"type", required_argument, NULL, 'e'},
        {"topics", no_argument, NULL, 'p'},       {NULL, 0, NULL, 0}};
    options_t options = {
        .batch = 500, .warmup = 1, .timeout = 20, .hwm = BENCH_HWM, .reconnect_ms = 100};
    int name;
    while ((name = getopt_long (argc, argv, "", names, NULL)) != -1) {
        switch (name) {
            case 'w':
                options.warmup = bench_option ("warmup", optarg, 0, 1e6);
                break;
            case 's':
                options.seconds = bench_option ("seconds", optarg, 0.001, 1e6);
                break;
            case 'c':
                options.count = bench_option ("count", optarg, 2, 1e15);
                break;
            case 'a':
                options.ack_to = optarg;
                break;
            case 'b':
                options.batch = bench_option ("batch", optarg, 1, BATCH_MAX);
                break;
            case 'h':
                options.hwm = bench_option ("hwm", optarg, 1, 1e6);
                break;
            case 'o':
                options.open_at = bench_option ("open-at", optarg, 0, 1e12);
                break;
            case 'r':
                options.rate = bench_option ("rate", optarg, 0.001, 1e9);
                break;
            case 'k':
                options.hold = true;
                break;
            case 'm':
                options.shared = true;
                break;
            case 'y':
                options.stay = true;
                break;
            case 'e':
                options.subscribe = bench_choice ("type", optarg, "pull", "sub");
                break;
            case 'p':
                options.topics = true;
                break;
            case 'i':
                options.reconnect_ms = bench_option ("reconnect", optarg, 1, 1e6);
                break;
            case 't':
                options.timeout = bench_option ("timeout", optarg, 0.1, TIMEOUT_MAX);
                break;
            default:
                exit (2);
        }
    }
    if (argc - optind != 1)
        bench_fail (2, "one endpoint is needed");
    options.endpoint = argv [optind];
    if (options.seconds == 0 && options.count == 0)
        options.seconds = 5;
    return options;
}

//  Send the collected tickets, joined in one frame
static void
s_flush_tickets (self_t *self)
{
    size_t size = (size_t) self->tickets * ZSPOOL_TICKET_BYTES;
    if (size > 0 && zmq_send (self->acks, self->ticket, size, 0) < 0)
        bench_fail (1, "sending tickets: %s", zmq_strerror (errno));
    self->tickets = 0;
}

//  Receive one frame; false when none came in time
static bool
s_receive_frame (self_t *self)
{
    if (zmq_msg_recv (&self->message, self->socket, 0) >= 0)
        return true;
    if (errno != EAGAIN && errno != EINTR)
        bench_fail (1, "receive: %s", zmq_strerror (errno));
    return false;
}

//  Receive the ticket, and keep it when it shall go back.
static void
s_take_ticket (self_t *self)
{
    if (zmq_msg_size (&self->message) != ZSPOOL_TICKET_BYTES || !zmq_msg_more (&self->message))
        bench_fail (1, "a message came without a ticket");
    if (self->acks) {
        memcpy (self->ticket [self->tickets++], zmq_msg_data (&self->message), ZSPOOL_TICKET_BYTES);
        if (self->tickets == self->batch)
            s_flush_tickets (self);
    }
    zmq_msg_recv (&self->message, self->socket, 0); //  its other frame came with it
}

//  Hold the message's number against the one before.
static void
s_check_number (self_t *self)
{
    uint64_t number;
    memcpy (&number, zmq_msg_data (&self->message), sizeof number);
    uint64_t producer = number >> BENCH_PRODUCER_SHIFT;
    if (producer >= BENCH_PRODUCERS_MAX)
        bench_fail (1, "a message came that bench_push did not send");
    uint64_t *last = &self->last [producer];
    number &= (1ULL << BENCH_PRODUCER_SHIFT) - 1;
    if (number <= *last) {
        self->repeats++;
        return;
    }
    if (*last && !self->shared)
        self->gaps += number - *last - 1;
    *last = number;
}

//  Receive one message, look at its ticket and its number; false when none came in time
static bool
s_receive (self_t *self)
{
    if (!s_receive_frame (self)) {
        s_flush_tickets (self);
        return false;
    }
    if (self->has_tickets)
        s_take_ticket (self);
    if (self->has_topics && zmq_msg_more (&self->message))
        zmq_msg_recv (&self->message, self->socket, 0); //  likewise
    self->bytes = zmq_msg_size (&self->message);
    if (self->bytes < BENCH_NUMBER_BYTES || zmq_msg_more (&self->message))
        bench_fail (1, "a message came that bench_push did not send");
    s_check_number (self);
    if (self->total++ == 0)
        self->first_ns = bench_now_ns ();
    else if (self->rate > 0)
        bench_pace (self->total, self->rate, self->first_ns);
    return true;
}

//  Receive until `count` messages came in all (0: no limit) or it is `end_ns`. Returns the time of
//  the last one, as of the last look at the clock.
static int64_t
s_receive_until (self_t *self, uint64_t count, int64_t end_ns, double timeout)
{
    int64_t last_ns = bench_now_ns ();
    while (last_ns < end_ns && (!count || self->total < count)) {
        bool received = s_receive (self);
        if (received && self->total % BENCH_CLOCK_EVERY && self->total != count)
            continue;
        int64_t now_ns = bench_now_ns ();
        if (received)
            last_ns = now_ns;
        else if (now_ns - last_ns > (int64_t) (timeout * 1e9))
            bench_fail (1, "nothing came for %g s, after %llu messages", timeout,
                        (unsigned long long) self->total);
        if (now_ns >= end_ns)
            break;
    }
    return last_ns;
}

int
main (int argc, char **argv)
{
    options_t options = s_options (argc, argv);
    self_t *self = calloc (1, sizeof *self);
    if (!self)
        bench_fail (1, "no memory");
    void *context = zmq_ctx_new ();
    zmq_msg_init (&self->message);
    self->batch = options.batch;
    self->rate = options.rate;
    self->shared = options.shared;
    self->has_topics = options.topics;
    self->has_tickets = options.hold || options.ack_to;
    self->socket = bench_socket_new (context, options.subscribe ? ZMQ_SUB : ZMQ_PULL, options.hwm);
    if (options.subscribe)
        zmq_setsockopt (self->socket, ZMQ_SUBSCRIBE, "", 0);
    bench_set (self->socket, ZMQ_RCVTIMEO, BENCH_WAIT_MS);
    bench_set (self->socket, ZMQ_RECONNECT_IVL, options.reconnect_ms);
    bench_attach (self->socket, options.endpoint);
    if (options.ack_to) {
        self->acks = bench_socket (context, ZMQ_PUSH, options.hwm, options.ack_to);
        bench_set (self->acks, ZMQ_SNDTIMEO, (int) (options.timeout * 1e3));
        bench_set (self->acks, ZMQ_LINGER, LINGER_MS);
    }

    s_receive_until (self, 1, INT64_MAX, options.timeout);
    int64_t warm_ns = options.open_at > 0 ? (int64_t) (options.open_at * 1e9)
                                          : self->first_ns + (int64_t) (options.warmup * 1e9);
    int64_t open_ns = s_receive_until (self, options.count, warm_ns, options.timeout);
    uint64_t before = self->total, gaps_before = self->gaps;
    int64_t end_ns = options.seconds > 0 ? open_ns + (int64_t) (options.seconds * 1e9) : INT64_MAX;
    int64_t close_ns = s_receive_until (self, options.count, end_ns, options.timeout);
    uint64_t messages = self->total - before;
    if (messages < 2 || close_ns <= open_ns)
        bench_fail (1, "the window saw only %llu messages", (unsigned long long) messages);
    double seconds = (double) (close_ns - open_ns) / 1e9;
    uint64_t lost = self->gaps - gaps_before;
    printf ("{\"rate\": %.1f, \"messages\": %llu, \"seconds\": %.6f, \"total\": %llu, "
            "\"bytes\": %zu, \"gaps\": %llu, \"repeats\": %llu, \"lost\": %.6f, \"first\": %.6f}\n",
            (double) messages / seconds, (unsigned long long) messages, seconds,
            (unsigned long long) self->total, self->bytes,
            (unsigned long long) (options.subscribe ? 0 : self->gaps),
            (unsigned long long) self->repeats, (double) lost / (double) (lost + messages),
            (double) self->first_ns / 1e9);
    fflush (stdout);
    if (options.stay)
        s_receive_until (self, 0, INT64_MAX, TIMEOUT_MAX);

    if (self->acks) {
        s_flush_tickets (self);
        zmq_close (self->acks);
    }
    zmq_msg_close (&self->message);
    zmq_close (self->socket);
    zmq_ctx_term (context);
    free (self);
    return 0;
}
