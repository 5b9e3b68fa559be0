//  zspool.h - the whole public API of zspool: durable ZeroMQ messaging without a broker
//
//  SPDX-License-Identifier: MPL-2.0
//
//  zspool puts a disk between ZeroMQ sockets. Messages that come in are stored, then forwarded, and
//  after a restart what was not acknowledged is forwarded again. There is no server: a device runs
//  as a command (zspool queue), or on threads of its own inside an application; or an application
//  uses the store with no socket at all.
//
//  CAVEATS
//
//  - Delivery is at least once. A crash, a consumer that leaves or a time-out make messages come
//    twice; make work repeatable, or keep a note of what was done: a producer's transaction, which
//    stores results in the commit that acknowledges what they were made of, is such a note.
//  - What has not reached a device is not safe: a plain PUSH socket tells nobody what was in its
//    queue when its process died. A producer knows what is safe, and one with a name is not stored
//    twice; what it has in memory is gone with its process all the same.
//  - Under the policies `settled` and `sent` a message counts as done when the network took it.
//    Only `explicit`, and consumers of a service, know that the work was done.
//  - A store must be on a local disk that tells the truth about fsync. Open it once in a process,
//    and not across fork ().
//  - The store is read through a memory map. A disk that fails while a page is read, or somebody
//    who cuts the file off, ends the process with SIGBUS.
//  - Blocks and the store's own records carry checksums, LMDB's pages do not: who may write
//    data.mdb may crash whoever reads it.
//  - A device uses CZMQ, which catches SIGINT and SIGTERM for the whole process, unless the
//    application has called zsys_handler_set (NULL) before. A backup or an embedded store touch no
//    signals.
//
//  CLASSES
//
//    zspool_device   takes messages in from PUSH or PUB peers, stores them and forwards them to PULL or SUB
//                    peers, and to feeds, on threads of its own
//    zspool_control  asks the device of another process: STATUS, PAUSE, RESUME, FLUSH; to put dead letters
//                    back, or drop them; to move or delete cursors
//    zspool_producer puts messages into spools of a device's service, knows which are safe, sends
//                    again what is not, and has transactions
//    zspool_consumer receives messages from a device's service, acknowledges them, or gives them back
//    zspool_admin    lists and changes what a device's service has
//    zspool_store    a directory with spools (ordered, durable logs of messages) and cursors (who
//                    has acknowledged what of a spool); transactions over all of these
//    zspool_start    where a cursor or a replay is to begin, as people write it
//    zspool_reader   reads the blocks of a spool in order
//    zspool_block    a sealed run of messages in contiguous bytes: the unit of storing and reading
//    zspool_record   one message of a block
//    zspool_filter   which messages somebody wants, by their topics: prefixes and patterns
//    zspool_dead     the dead letters of a spool: messages that were delivered too often and never
//                    acknowledged, with their history
//    zspool_ticket   32 bytes with which a consumer acknowledges one delivery
//    zspool_backup   copies a store, also one in use
//    zspool_salvage  saves what a damaged store still holds into a new one
//
//  Message: 1 to 65,535 frames of any bytes, 128 MiB altogether; order and bytes are kept exactly.
//  Sequence: its number in its spool, from 1, rising, never given twice by a store. Between two
//  sequences there may be a gap: numbers that were possibly forwarded under `async` and then lost
//  in a crash. Incarnation: a random number of a store, new with each copy, so that sequences of a
//  backup are not taken for the original's.
//
//  examples/ has a program for each use: embedded_store.c, host_device.c, late_feed.c,
//  ticketed_worker.c, dead_letters.c, confirmed_producer.c, acknowledging_consumer.c,
//  exactly_once.c.
//
//  THREADS
//
//  Two objects may be used by two threads at the same time, always. (What is global is a list,
//  under a lock, of the directories that the process has open.) One object:
//
//    device, control, consumer, admin
//                     by one thread at a time
//    producer         likewise; but any may ask which messages are confirmed
//    store            by the thread that opened it, as are its transactions
//    reader           by one thread, any one; but the store's thread creates it
//    block            until it is sealed by one thread; then by any: it is immutable, and its
//                     references are counted
//
//  A store is written by one process at a time, and read by any number meanwhile. Nothing but the
//  device's start, stop and requests, the control's requests, producers, consumers and admins, as
//  their functions say, and what reads or writes the store, ever waits.
//
//  OWNERSHIP
//
//  _new () gives an object to its caller, who gives it back with _destroy (&object): this sets the
//  pointer to NULL, and does nothing when it is NULL. NULL from _new () means that memory is out,
//  or what the function says. Strings and bytes that a function takes are copied; those that it
//  returns are borrowed, for as long as it says. Destroy in the reverse order: blocks any time,
//  readers before their store.
//
//  ERRORS
//
//  Functions that can fail return ZSPOOL_OK (0) or a negative code of zspool_error_t, and leave
//  what they would have filled in as it was. Objects with a _reason () have one line of text for
//  people beside. A call out of order, or with arguments out of range, is told (EINVAL) and does
//  nothing; but a pointer to an object, or to where a result goes, is never checked. The library
//  never exits, prints nothing, and asserts only against faults of its own.
//
//  DURABILITY
//
//  Durable is what survives a power cut. zspool_store_commit () that returned 0 is durable, and so
//  is all that a store opened for writing shows. Under `sync` and `transaction` a device forwards a
//  message when it is durable; under `async` after zspool_device_flush (). Acknowledgements become
//  durable with the commit after them, 100 ms later at most; what a crash takes of them is
//  delivered again.
//
//  VERSIONS
//
//  ZSPOOL_VERSION_... are those of the headers, zspool_version () is that of the library that was
//  loaded. The library exports what is marked ZSPOOL_EXPORT and nothing else. Before 1.0 its soname
//  changes whenever a program must be compiled again: structs of these headers are laid out by
//  value. Names and options may be added at any time: unknown codes of zspool_error_t are errors
//  like the others, and unknown names in a STATUS are to be passed over. A store that a newer
//  version wrote is refused (EVERSION) and left as it is; stores of all older ones are read.

#ifndef ZSPOOL_H_INCLUDED
#define ZSPOOL_H_INCLUDED

#include "zspool_library.h"
#include "zspool_block.h"
#include "zspool_ticket.h"
#include "zspool_backup.h"
#include "zspool_start.h"
#include "zspool_store.h"
#include "zspool_reader.h"
#include "zspool_salvage.h"
#include "zspool_dead.h"
#include "zspool_device.h"
#include "zspool_filter.h"
#include "zspool_control.h"
#include "zspool_consumer.h"
#include "zspool_producer.h"
#include "zspool_admin.h"

#endif
