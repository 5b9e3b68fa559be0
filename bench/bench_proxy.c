//  bench_proxy.c - the memory-only proxy to measure against: PULL -> PUSH, or XSUB -> XPUB
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_proxy [--type pull|xsub] [--hwm N] IN OUT
//
//  libzmq's own zmq_proxy in a process of its own, one I/O thread, as anybody would write it. Binds
//  endpoints that start with `@`, prints `ready`, runs until it is killed. No timeouts on its
//  sockets: zmq_proxy would end at the first one.

#include "bench.h"

int
main (int argc, char **argv)
{
    static const struct option names [] = {
        {"hwm", required_argument, NULL, 'h'}, {"type", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0}};
    int hwm = BENCH_HWM;
    bool publish = false;
    int name;
    while ((name = getopt_long (argc, argv, "", names, NULL)) != -1) {
        if (name == 'h')
            hwm = bench_option ("hwm", optarg, 1, 1e6);
        else if (name == 't')
            publish = bench_choice ("type", optarg, "pull", "xsub");
        else
            exit (2);
    }
    if (argc - optind != 2)
        bench_fail (2, "two endpoints are needed");

    void *context = zmq_ctx_new ();
    void *in = bench_socket (context, publish ? ZMQ_XSUB : ZMQ_PULL, hwm, argv [optind]);
    void *out = bench_socket (context, publish ? ZMQ_XPUB : ZMQ_PUSH, hwm, argv [optind + 1]);
    puts ("ready");
    fflush (stdout);
    zmq_proxy (in, out, NULL);
    bench_fail (1, "proxy: %s", zmq_strerror (errno));
}
