#  report.py - the tables, the verdict on each budget, the file of JSON
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Results are dictionaries of figures by key (see cases.py) and round. Ratios are taken within a
#  round; medians, minima and maxima are over the rounds.

import json, statistics

import publish, zsp
from cases import (FRAGMENTED_MIB, FRAGMENTED_SIZES, LATENCIES, MEMORY_BACKLOG_MIB, MEMORY_SIZES,
                   PEERS, RESTART_SIZE, SMALL, STORED_MESSAGES, STREAMS, restart_count, scaled)
from rig import DEVICES, Skipped

#  The budgets of the design: least ratio to zmq_proxy by case and size; async at every size
STREAM_BUDGETS = {('sync', 100): 1.0, ('sync', 1024): 0.9, ('sync', 16384): 0.8,
                  ('explicit', 100): 0.8}
ASYNC_BUDGET = 1.0
LATENCY_BUDGET = 1.3     # most LMDB commits that sync may add to zmq_proxy's p50
BACKLOG_BUDGET = 1.0     # least ratio of draining to the live rate
STORED_BUDGET = 0.9      # least ratio to an empty store
FRAGMENTED_BUDGET = 0.4  # least ratio to a clean store
MEMORY_BUDGET_MIB = 64   # most anonymous memory of a device
ZSP_BUDGET = 2.0         # least ratio of ZSP under sync to zmq_proxy
RESTART_BUDGET_S = 0.5   # longest from start to first replayed message
FILESIZE_BUDGET = 1.5    # most bytes of the store for each live one
PUBLISH_BUDGET = 1.0     # least ratio of sync to zmq_proxy, one subscriber
FEED_CPU_BUDGET = 1.0    # most CPU of a delivery by a feed, of one by a queue's outlet
REPLAY_BUDGET = 1.0      # least ratio to the live rate
BLOCK_KIB_MIN = 32       # blocks that budget holds for
OTHERS_SHARE_MAX = 0.05  # most CPU that other work may take for figures to be trusted


def stream_budget(name, size):
    return ASYNC_BUDGET if name == 'async' else STREAM_BUDGETS.get((name, size))


def size_name(size):
    for unit, name in ((2 ** 20, 'MiB'), (1024, 'KiB')):
        if size >= unit and size % unit == 0:
            return f'{size // unit} {name}'
    return f'{size} B'


def spread(values, digits=0):
    '''Median, and minimum to maximum'''
    if not values:
        return '-', '-'
    return (f'{statistics.median(values):,.{digits}f}',
            f'{min(values):,.{digits}f} - {max(values):,.{digits}f}')


def figures_of(results, key, figure):
    return [result[figure] for result in results.get(key, {}).values() if figure in result]


def ratios_of(results, key, base_key, figure='rate'):
    base = results.get(base_key, {})
    return [result[figure] / base[number][figure]
            for number, result in results.get(key, {}).items()
            if figure in result and figure in base.get(number, {})]


def added_commits(results, name):
    '''What a device adds to the proxy's p50, in LMDB commits'''
    proxy, disk = results.get(('latency', 'zmq_proxy'), {}), results.get(('disk',), {})
    return [(run['p50_us'] - proxy[number]['p50_us']) / disk[number]['lmdb_p50_us']
            for number, run in results.get(('latency', name), {}).items()
            if number in proxy and number in disk]


#  Budgets

class Budget:
    '''One line of the last table: values by round, and what their median has to keep to'''

    def __init__(self, label, keys, values, least=None, most=None, digits=2, reason=None):
        self.label, self.keys, self.values, self.digits = label, keys, values, digits
        self.least, self.most, self.reason = least, most, reason

    def limit(self):
        return f'>= {self.least:g}' if self.least is not None else f'<= {self.most:g}'

    def verdict(self, failures):
        '''`ok`, `MISSED`, or `not measured` and why; `failures` are exceptions by key'''
        if self.values:
            median = statistics.median(self.values)
            kept = median >= self.least if self.least is not None else median <= self.most
            return 'ok' if kept else 'MISSED'
        reasons = [self.reason] if self.reason else []
        reasons += [str(failures[key]) for key in self.keys if key in failures]
        return 'not measured: ' + (reasons[0] if reasons else 'not asked for')


def stream_budgets(results, options):
    sizes = sorted(set(options.sizes) | {size for _, size in STREAM_BUDGETS})
    for name in DEVICES:
        for size in sizes:
            limit = stream_budget(name, size)
            if limit is None:
                continue
            key, base = ('stream', name, size), ('stream', 'zmq_proxy', size)
            yield Budget(f'{name}, {size_name(size)}, of zmq_proxy', (key, base),
                         ratios_of(results, key, base), least=limit)
    for name in DEVICES:
        key, base = ('peers', name), ('peers', 'zmq_proxy')
        yield Budget(f'{name}, {SMALL} B, {PEERS} + {PEERS} peers, of zmq_proxy', (key, base),
                     ratios_of(results, key, base), least=stream_budget(name, SMALL))
    key, base = ('zsp', 'sync', SMALL), ('stream', 'zmq_proxy', SMALL)
    yield Budget(f'ZSP with acknowledgements, {SMALL} B, of zmq_proxy', (key, base),
                 ratios_of(results, key, base), least=ZSP_BUDGET)


def store_budgets(results, options):
    key, base = ('backlog',), ('stream', 'sync', SMALL)
    yield Budget(f'draining a backlog, {SMALL} B, of the live rate', (key, base),
                 ratios_of(results, key, base), least=BACKLOG_BUDGET)
    key, base = ('stored', 'full'), ('stored', 'empty')
    yield Budget(f'on top of {scaled(options, STORED_MESSAGES):,} stored, of an empty store',
                 (key, base), ratios_of(results, key, base), least=STORED_BUDGET)
    for size in FRAGMENTED_SIZES:
        key, base = ('fragmented', size), ('clean', size)
        yield Budget(f'fragmented store of {scaled(options, FRAGMENTED_MIB)} MiB, '
                     f'{size_name(size)}, of a clean one', (key, base),
                     ratios_of(results, key, base), least=FRAGMENTED_BUDGET)
    for size in MEMORY_SIZES:
        for peers in (1, PEERS):
            for has_backlog in (False, True):
                key = ('memory', peers, size, has_backlog)
                backlog = scaled(options, MEMORY_BACKLOG_MIB) if has_backlog else 0
                yield Budget(f'MiB anonymous, {peers} + {peers} peers, {size_name(size)}, '
                             f'backlog of {backlog} MiB', (key,),
                             figures_of(results, key, 'memory_mib'), most=MEMORY_BUDGET_MIB,
                             digits=1)


def restart_budgets(results, options):
    key = ('restart',)
    backlog = restart_count(options) * RESTART_SIZE / 2 ** 30
    for label in ('warm', 'cold'):
        reason = None
        if key in results and label == 'cold':
            reason = '/proc/sys/vm/drop_caches cannot be written (needs root)'
        yield Budget(f's to the first message, {backlog:.1f} GiB stored, {label}', (key,),
                     figures_of(results, key, label + '_s'), most=RESTART_BUDGET_S, digits=3,
                     reason=reason)
    key, reason = ('filesize',), None
    blocks = figures_of(results, key, 'block_kib')
    if blocks and min(blocks) < BLOCK_KIB_MIN:
        reason = f'blocks had {min(blocks):.0f} KiB only'
    live = spread(figures_of(results, key, 'live_mib'))[0]
    yield Budget(f'store size of {live} MiB live, blocks of {spread(blocks)[0]} KiB', (key,),
                 [] if reason else figures_of(results, key, 'ratio'), most=FILESIZE_BUDGET,
                 reason=reason)


def publish_budgets(results, options):
    key, base = ('publish', 'sync', SMALL, 1), ('publish', 'zmq_proxy', SMALL, 1)
    for figure, label in (('rate', 'full speed'), ('lossless_rate', 'lossless')):
        yield Budget(f'PUB/SUB, sync, {SMALL} B, 1 subscriber, {label}, of zmq_proxy', (key, base),
                     ratios_of(results, key, base, figure), least=PUBLISH_BUDGET)
    key, base = ('feeds', publish.FEEDS), ('stream', 'sync', SMALL)
    yield Budget(f'{publish.FEEDS} feeds: CPU a delivery, of a queue\'s', (key, base),
                 ratios_of(results, key, base, 'cpu_us'), most=FEED_CPU_BUDGET)
    for figure, label in (('rate', 'zspool replay'), ('feed_rate', 'what an absent feed missed')):
        live = results.get(base, {})
        values = [result[figure] / live[number]['rate']
                  for number, result in results.get(('replay',), {}).items() if number in live]
        yield Budget(f'{label}, {SMALL} B, of the live rate', (('replay',), base), values,
                     least=REPLAY_BUDGET)
    for limit in ('keep-count', 'keep-bytes'):
        key = ('keep', limit)
        yield Budget(f'stream under --{limit}: file, of live bytes', (key,),
                     figures_of(results, key, 'ratio'), most=FILESIZE_BUDGET)


def all_budgets(results, options):
    latency = ('latency', 'sync')
    return [*stream_budgets(results, options),
            Budget('sync, one at a time: p50 above zmq_proxy, in LMDB commits',
                   (latency, ('latency', 'zmq_proxy'), ('disk',)), added_commits(results, 'sync'),
                   most=LATENCY_BUDGET),
            *store_budgets(results, options), *publish_budgets(results, options),
            *restart_budgets(results, options)]


#  Tables of figures

def stream_rows(results, options):
    rows = []
    keys = [('stream', name, size) for size in options.sizes for name in STREAMS]
    keys += [('peers', name) for name in STREAMS]
    for key in keys:
        if key not in results:
            continue
        many, name = key[0] == 'peers', key[1]
        size, base = (SMALL, ('peers', 'zmq_proxy')) if many else (
            key[2], ('stream', 'zmq_proxy', key[2]))
        rate = figures_of(results, key, 'rate')
        rows.append((size_name(size) + (f', {PEERS} + {PEERS} peers' if many else ''), name,
                     *spread(rate), f'{statistics.median(rate) * size / 1e6:,.0f}',
                     spread(figures_of(results, key, 'cpu_us'), 2)[0],
                     *spread(ratios_of(results, key, base), 3)))
    return rows


def zsp_rows(results):
    rows = []
    for size in zsp.SIZES:
        base = ('stream', 'zmq_proxy', size)
        for key in [base] + [('zsp', strategy, size) for strategy in zsp.STRATEGIES]:
            rate = figures_of(results, key, 'rate')
            if rate and any(('zsp', strategy, size) in results for strategy in zsp.STRATEGIES):
                rows.append((size_name(size), key[1], *spread(rate),
                             f'{statistics.median(rate) * size / 1e6:,.0f}',
                             spread(figures_of(results, key, 'cpu_us'), 2)[0],
                             *spread(ratios_of(results, key, base), 3)))
    return rows


def service_rows(results):
    rows = []

    def add(key, label):
        rate = figures_of(results, key, 'rate')
        if rate:
            rows.append((label, *spread(rate), spread(figures_of(results, key, 'cpu_us'), 2)[0]))

    for side in ('producers', 'consumers'):
        for count in zsp.CLIENTS:
            add((side, count), f'{count:,} {side if count > 1 else side[:-1]}')
    for messages in zsp.TXN_SIZES:
        add(('transactions', messages), f'transactions of {messages:,}')
    for name in zsp.PUTS:
        add(('put', name), f'put by a producer {"with a name" if name == "named" else "without"}')
    add(('resend',), 'put again, dropped')
    return rows


def publish_rows(results):
    rows = []
    for key in [key for key in results if key[0] == 'publish']:
        _, name, size, subscribers = key
        base = ('publish', 'zmq_proxy', size, subscribers)
        rows.append((size_name(size), str(subscribers), name,
                     *spread(figures_of(results, key, 'rate')),
                     f'{statistics.median(figures_of(results, key, "lost")):.1%}',
                     spread(figures_of(results, key, 'cpu_us'), 2)[0],
                     *spread(ratios_of(results, key, base), 3),
                     spread(figures_of(results, key, 'lossless_rate'))[0],
                     spread(ratios_of(results, key, base, 'lossless_rate'), 3)[0]))
    return rows


def feed_rows(results):
    rows = []

    def add(key, label, figure, digits=0):
        values = figures_of(results, key, figure)
        if values:
            rows.append((label, *spread(values, digits)))

    for count in (1, publish.FEEDS):
        add(('feeds', count), f'{count} feeds, deliveries/s', 'rate')
        add(('feeds', count), f'{count} feeds, CPU us a delivery', 'cpu_us', 2)
    for count in publish.FILTERS:
        add(('filters', count), f'feed with {count} filters, msg/s', 'rate')
        add(('filters', count), f'feed with {count} filters, CPU us a message', 'cpu_us', 2)
    add(('replay',), 'zspool replay, msg/s', 'rate')
    add(('replay',), 'what an absent feed missed, msg/s', 'feed_rate')
    for size in publish.SPARSE_SIZES:
        for indexed, label in ((True, 'with an index'), (False, 'without')):
            add(('sparse', indexed, size), f'one topic in {publish.TOPICS}, {size_name(size)}, '
                f'blocks {label}, looked at/s', 'rate')
    for limit in ('keep-count', 'keep-bytes'):
        add(('keep', limit), f'--{limit}: live, MiB', 'live_mib')
        add(('keep', limit), f'--{limit}: store, MiB', 'size_mib')
    return rows


def matching_rows(results):
    figures = next(iter(results.get(('matching',), {}).values()), {})
    kinds = {}
    for name, value in figures.items():
        kind, space, count = name.partition(' ')
        if space:
            kinds.setdefault(kind, {})[int(count)] = value
    return [(kind, *(f'{ns:,.0f}' for _, ns in sorted(by_count.items())))
            for kind, by_count in kinds.items()]


def latency_rows(results):
    rows = []
    for label, figure in (('4 KiB fdatasync', 'raw'), ('4 KiB LMDB commit', 'lmdb')):
        p50, p99 = (figures_of(results, ('disk',), f'{figure}_{part}_us')
                    for part in ('p50', 'p99'))
        rows.append(('disk', label, *spread(p50), spread(p99)[0]))
    if ('confirm',) in results:
        rows.append((f'{SMALL} B', 'ZSP, until confirmed',
                     *spread(figures_of(results, ('confirm',), 'p50_us')),
                     spread(figures_of(results, ('confirm',), 'p99_us'))[0]))
    for name in LATENCIES:
        key = ('latency', name)
        if key in results:
            added = added_commits(results, name) if name in DEVICES else []
            rows.append((f'{SMALL} B', name, *spread(figures_of(results, key, 'p50_us')),
                         spread(figures_of(results, key, 'p99_us'))[0], *spread(added, 3)))
    return rows


def other_rows(results):
    rows = []

    def add(key, label, figure, digits=0):
        values = figures_of(results, key, figure)
        if values:
            rows.append((label, *spread(values, digits)))

    add(('backlog',), f'drain of a backlog, {SMALL} B, msg/s', 'rate')
    for which in ('empty', 'full'):
        add(('stored', which), f'{which} store, {SMALL} B, in, msg/s', 'in_rate')
        add(('stored', which), f'{which} store, {SMALL} B, out, msg/s', 'out_rate')
    for size in FRAGMENTED_SIZES:
        for which in ('clean', 'fragmented'):
            add((which, size), f'{which} store, {size_name(size)}, msg/s', 'rate')
    add(('restart',), 'restart, warm, slowest, s', 'warm_max_s', 3)
    add(('restart',), 'restart, cold, slowest, s', 'cold_max_s', 3)
    add(('filesize',), 'steady state: store, MiB', 'size_mib')
    add(('filesize',), 'steady state: live, MiB', 'live_mib')
    for redelivered in figures_of(results, ('redelivery',), 'messages')[:1]:
        key, label = ('redelivery',), f'{redelivered:,} tickets run out: '
        add(key, label + 'sent first, msg/s', 'first_rate')
        add(key, label + 'sent again, msg/s', 'rate')
        add(key, label + 'until all are acknowledged, s', 'all_s', 2)
        add(key, label + 'CPU, us a message', 'cpu_us', 2)
        add(key, label + 'CPU of waiting, s', 'waiting_cpu_s', 2)
    return rows


def print_table(title, header, rows, text_columns):
    if not rows:
        return
    rows = [header] + [row + ('',) * (len(header) - len(row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    print(f'\n{title}')
    for row in rows:
        cells = [cell.ljust(width) if column in text_columns else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        print('  ' + '  '.join(cells).rstrip())


def print_report(results, failures, options):
    print_table('Throughput at the consumers; CPU of the process in the middle',
                ('size', 'through', 'msg/s', 'min - max', 'MB/s', 'CPU us/msg', 'of zmq_proxy',
                 'min - max'), stream_rows(results, options), (0, 1))
    print_table('One message at a time, send to receipt, us; what the device adds, in LMDB commits',
                ('size', 'through', 'p50', 'min - max', 'p99', 'added', 'min - max'),
                latency_rows(results), (0, 1))
    print_table('ZSP, confirmed to the producer, acknowledged by the consumer; zmq_proxy, plain',
                ('size', 'through', 'msg/s', 'min - max', 'MB/s', 'CPU us/msg', 'of zmq_proxy',
                 'min - max'), zsp_rows(results), (0, 1))
    print_table(f'The service, {SMALL} B', ('what', 'msg/s', 'min - max', 'CPU us/msg'),
                service_rows(results), (0,))
    print_table('PUB to SUB, full speed: at each subscriber, what the middle dropped, its CPU a '
                'delivery; then slowed until nothing is lost',
                ('size', 'SUBs', 'through', 'msg/s', 'min - max', 'lost', 'CPU us', 'of zmq_proxy',
                 'min - max', 'lossless', 'of it'), publish_rows(results), (0, 2))
    print_table('Feeds, filters, history, limits', ('what', 'median', 'min - max'),
                feed_rows(results), (0,))
    print_table('Matching a topic, ns, by number of filters',
                ('kind', '1', '10', '100', '1000', '10000'), matching_rows(results), (0,))
    print_table('With messages in the store', ('what', 'median', 'min - max'), other_rows(results),
                (0,))
    rows = [(budget.label, *spread(budget.values, budget.digits), budget.limit(),
             budget.verdict(failures)) for budget in all_budgets(results, options)]
    print_table('Budgets', ('what', 'median', 'min - max', 'budget', ''), rows, (0, 4))
    kept = [row [-1] for row in rows]
    print(f'\n{kept.count("ok")} kept, {kept.count("MISSED")} missed, '
          f'{len(kept) - kept.count("ok") - kept.count("MISSED")} not measured')
    median, most = statistics.median(options.others or [0]), max(options.others or [0])
    print(f'Other work took {median:.1%} of the CPU (median; at most {most:.1%})'
          + ('' if median <= OTHERS_SHARE_MAX else ': too much to trust these figures'))
    for key, failure in failures.items():
        word = 'SKIPPED' if isinstance(failure, Skipped) else 'FAILED'
        print(f'{word} {" ".join(str(part) for part in key)}: {failure}')


def write_json(path, results, failures, options, machine):
    budgets = [{'what': budget.label, 'values': budget.values, 'budget': budget.limit(),
                'verdict': budget.verdict(failures)} for budget in all_budgets(results, options)]
    runs = [{'case': list(key), 'round': number, **result}
            for key, rounds in results.items() for number, result in rounds.items()]
    asked = {name: getattr(options, name) for name in
             ('rounds', 'scale', 'warmup', 'seconds', 'latency_seconds', 'memory_seconds', 'sizes',
              'cases', 'batch', 'hwm', 'full', 'extra')}
    with open(path, 'w') as file:
        json.dump({'machine': machine, 'options': asked, 'other_cpu': options.others,
                   'budgets': budgets, 'runs': runs,
                   'failures': [{'case': list(key), 'reason': str(failure)}
                                for key, failure in failures.items()]}, file, indent=1)
        file.write('\n')
