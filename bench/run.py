#!/usr/bin/env python3
#  run.py - measures zspool against zmq_proxy and every budget of its design; prints tables
#
#  SPDX-License-Identifier: MPL-2.0
#
#  A round measures every case once, one after the other, each with fresh processes, fresh ports and
#  a fresh store; ratios are taken within a round, so that a machine that slows down slows both
#  sides. Medians, minima and maxima are over the rounds. What takes long and hardly varies is
#  measured in the first round only. Needs only Python's standard library, and the programs of this
#  folder (`make`). The last table has a line for each budget, and its verdict.
#
#  The rows:
#    sync, async, explicit  PUSH -> device -> PULL at full speed, against zmq_proxy in its place;
#                           explicit: the consumer acknowledges --batch tickets at a time, joined
#    direct                 PUSH -> PULL without anything between (only when asked for)
#    peers                  the same with 10 producers and 10 consumers, a process each
#    latency                one message at a time, send to receipt; what a device adds to the proxy
#                           is given in commits of 4 KiB by a bare LMDB on the same disk
#    backlog                2 million messages stored, then a consumer comes: its rate against the
#                           live rate
#    stored                 producer and consumer at full speed on top of 10 million messages, and
#                           on an empty store. The consumer gets old messages from the head while
#                           new ones go in at the tail: the rate is the mean of in and out
#    fragmented             1 GiB of 5 KB blocks of four spools, interleaved, two of them purged:
#                           sync on that store against a clean one
#    filesize               512 MiB stay in the store while 100,000 messages of 1 KiB a second go in
#                           and out: file, with what is reserved for it, against live bytes
#    memory                 most RssAnon of a device with default settings under full load, with 1
#                           and 10 peers on each side, with and without a backlog of 1 GiB
#    restart                from the start of the command to the first message at a waiting
#                           consumer, 4 GiB stored, the device before killed with SIGKILL; cold:
#                           after the kernel's caches were dropped (as root)
#    publish                PUB -> middle -> SUB, 1 and 5 subscribers: `zspool stream` against a
#                           zmq_proxy of XSUB and XPUB. The same publisher, subscribers and
#                           high-water marks; each message is numbered. The publisher waits where
#                           PUB would drop, so that it is the middle and the subscribers that are
#                           measured. At full speed: what a subscriber gets a second, and the part
#                           that the middle dropped for it, `lost`; lossless: what it gets when the
#                           publisher is slowed until nothing (0.1 %) is lost, in steps of a
#                           sixth or so
#    feeds                  PUSH -> a stream with 10 feeds -> a PULL each; CPU a delivery against a
#                           queue's
#    filters                a feed with 1000 filters against one with none
#    matching               ns to match a topic, by kind and number of filters
#    replay                 a history of 2 million messages, which a feed was absent for: by
#                           `zspool replay`, and by the feed; against the live rate
#    sparse                 1 GiB of 1000 topics in turn, of which a new feed wants one: messages
#                           looked at a second, in blocks with an index and without, 1 and 16 KiB
#    keep                   a stream under --keep-count and under --keep-bytes, 512 MiB: file
#                           against live bytes when all has been replaced twice
#    zsp                    ZSP producer -> device with a service -> ZSP consumer: the producer knows
#                           what is stored, the consumer acknowledges; against plain sockets through
#                           zmq_proxy. transaction: 1000 messages in each
#    confirm                one message after the other, from putting it until it is known to be
#                           stored; beside a commit of 4 KiB by a bare LMDB
#    clients                the same with 1, 10 and 1000 producers and one consumer, and with one
#                           producer and as many consumers of one cursor; all in one process
#    transactions           messages a second of one producer in transactions of 1 to 10,000
#    dedupe                 a producer with a name against one without; and what comes again, and is
#                           dropped
#    redelivery             a million messages delivered, never acknowledged; all run out, are sent
#                           again and acknowledged
#
#  To repeat what the documentation quotes: bench/run.sh on a machine that does nothing else, from
#  the folder the programs were built in, with --dir on the disk to be measured.

import sys
sys.dont_write_bytecode = True  # the sources may lie where nothing else shall be written

import argparse, os, shutil, signal, time

from cases import CASES, ONCE, plan
from report import print_report, write_json
from rig import (HWM, SETTLE_MS, Failed, Skipped, file_system, machine, remove_stores)

SIZES = '10,100,1024,16384,131072,1048576'
WARMUP_S = 1.2          # more than twice SETTLE_MS: from then on a store reuses its file
FULL_WARMUP_S = 11      # more than twice the default settle time, 5000 ms
QUICK_SCALE = 0.1       # of what is stored beforehand


def run_rounds(options):
    '''Returns results by key, each a dictionary by round, and exceptions by key'''
    results, failures = {}, {}
    started = time.monotonic()
    for number in range(1, options.rounds + 1):
        for key, measure in plan(options, number).items():
            name = ' '.join(str(part) for part in key)
            seconds = time.monotonic() - started
            if options.budget_minutes and seconds > options.budget_minutes * 60:
                failures.setdefault(key, Skipped(f'{options.budget_minutes:g} minutes were over'))
                continue
            measured = len(options.others)
            try:
                result = measure()
            except (Failed, OSError) as failure:
                failures.setdefault(key, failure)
                print(f'round {number}: {name}: {failure}', file=sys.stderr)
                continue
            result['other_cpu'] = max(options.others[measured:], default=0)
            results.setdefault(key, {})[number] = result
            figures = ' '.join(f'{label}={value:.6g}' for label, value in result.items())
            print(f'{time.monotonic() - started:5.0f} s  round {number} of {options.rounds}: '
                  f'{name}: {figures}', file=sys.stderr)
    return results, failures


#  Command line

def find_programs():
    here = os.path.dirname(os.path.abspath(__file__))
    places = [os.path.abspath('bench'), os.getcwd(), here, os.path.join(here, '../build/bench')]
    return next((place for place in places if os.path.exists(place + '/bench_push')), here)


def find_zspool(programs):
    places = [os.path.join(programs, '../tools/zspool'), './tools/zspool', './zspool']
    found = next((place for place in places if os.access(place, os.X_OK)), shutil.which('zspool'))
    return found and os.path.abspath(found)


def options_parser():
    parser = argparse.ArgumentParser(
        prog='run.sh', description='Measure zspool against zmq_proxy, and every budget of its '
        'design. What each row means is written at the top of run.py.')
    add = parser.add_argument
    add('--zspool', metavar='PATH', help='the command (default: the built one, or the one in PATH)')
    add('--programs', metavar='DIR', help='where bench_push and the others were built')
    add('--dir', default='.', help='where stores go: a real disk, 12 GB free (default: .)')
    add('--rounds', type=int, metavar='N', help='default 5: some 30 minutes')
    add('--quick', action='store_true',
        help=f'one round, shorter windows, --scale {QUICK_SCALE}: a first look, a few minutes')
    add('--full', action='store_true',
        help=f'the default settle time and {FULL_WARMUP_S} s of warm-up: three times as long')
    add('--budget-minutes', type=float, metavar='M', help='begin no measurement after that')
    add('--cases', default=','.join(case for case in CASES if case != 'direct'),
        help='any of ' + ','.join(CASES) + ' (default: all but direct)')
    add('--sizes', default=SIZES, help=f'of messages, bytes (default: {SIZES})')
    add('--scale', type=float, metavar='X',
        help='so many times the messages and bytes are stored beforehand (default: 1)')
    add('--warmup', type=float, metavar='S', help='before each measurement of throughput')
    add('--seconds', type=float, metavar='S', help='of each measurement of throughput')
    add('--batch', type=int, default=500, metavar='N',
        help='tickets acknowledged at a time (default: 500)')
    add('--hwm', type=int, metavar='N', help='high-water mark of every socket, messages (default: '
        f'{HWM}, but at most 64 MiB of messages; memory: the default of the command)')
    add('--extra', default='', metavar='OPTIONS', help='more options for every device')
    add('--json', metavar='FILE', help='write every figure, and what the machine is')
    add('--verbose', action='store_true', help='print every command')
    return parser


def parse():
    parser = options_parser()
    options = parser.parse_args()
    options.cases = options.cases.split(',')
    for case in options.cases:
        if case not in CASES:
            parser.error(f"no such case: '{case}'")
    try:
        options.sizes = [int(size) for size in options.sizes.split(',')]
    except ValueError:
        parser.error('--sizes takes numbers and commas')
    if min(options.sizes) < 8:
        parser.error('--sizes: 8 bytes at least, since each message has its number')
    if options.full and options.quick:
        parser.error('--full or --quick, not both')
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.scale = options.scale or (QUICK_SCALE if options.quick else 1)
    options.warmup = options.warmup or (FULL_WARMUP_S if options.full else WARMUP_S)
    options.seconds = options.seconds or (4 if options.full else 1 if options.quick else 1.5)
    options.latency_seconds = 3 if options.full else min(1, options.seconds)
    options.memory_seconds = 12 if options.full else 2 if options.quick else 5
    options.others = []  # share of the CPU that other work took, by measurement
    return options


def prepare(options):
    '''Find what is to be measured; returns a line of text when that fails'''
    options.programs = os.path.abspath(options.programs or find_programs())
    if not os.access(options.programs + '/bench_store', os.X_OK):
        return f'no bench_store in {options.programs}: build the programs first, or give --programs'
    options.zspool = options.zspool or find_zspool(options.programs)
    if not options.zspool or not os.access(options.zspool, os.X_OK):
        return f'{options.zspool or "zspool"}: no such program; give --zspool'
    options.zspool = os.path.abspath(options.zspool)
    if not os.path.isdir(options.dir) or not os.access(options.dir, os.W_OK):
        return f'{options.dir}: cannot write there'
    if file_system(options.dir) in ('tmpfs', 'ramfs'):
        return f'{options.dir} is in memory: give --dir on a real disk'
    if options.json and not os.access(os.path.dirname(os.path.abspath(options.json)), os.W_OK):
        return f'{options.json}: cannot write there'
    return None


def describe(options, about):
    settle = 'its default' if options.full else f'{SETTLE_MS} ms'
    print(f'{about["processor"]}, {about["cores"]} cores, {about["memory_gib"]:.0f} GiB, '
          f'Linux {about["kernel"]}, {about["file_system"]}; load before: '
          f'{about["load_before"]:.2f}\nzspool {about["revision"]}, libzmq {about["libzmq"]}, '
          f'CZMQ {about["czmq"]}, LMDB {about["lmdb"]}')
    print(f'{options.rounds} rounds; once: {", ".join(ONCE)}; warm-up {options.warmup:g} s, window '
          f'{options.seconds:g} s; settle {settle}\nHWM {options.hwm or HWM}'
          + ('' if options.hwm else ', 128 KiB: 512, 1 MiB: 64')
          + f'; tickets {options.batch} at a time; stored beforehand: {options.scale:g} of the '
          'budgets' + (f'; {options.extra}' if options.extra else ''))
    sys.stdout.flush()


def leave(number, _):
    '''A signal: unwind, so that everything is stopped and removed; once'''
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    options = parse()
    problem = prepare(options)
    if problem:
        print(f'run.sh: {problem}', file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)
    remove_stores(options.dir)
    about = machine(options)
    describe(options, about)
    try:
        results, failures = run_rounds(options)
    finally:
        remove_stores(options.dir, own=True)
    print_report(results, failures, options)
    if options.json:
        write_json(options.json, results, failures, options, about)
    return int(any(not isinstance(failure, Skipped) for failure in failures.values()))


if __name__ == '__main__':
    sys.exit(main())
