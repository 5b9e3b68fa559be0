//  bench_disk.c - how long the disk takes to make 4 KiB durable, raw and as one LMDB commit
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_disk [--seconds S] DIRECTORY
//
//  Alternates, so that both see the same weather: pwrite + fdatasync over a file written before,
//  and one LMDB transaction with one 4 KiB value, default flags. The values go around a fixed set
//  of keys, so that after the first lap LMDB reuses its file. The directory must be there and be
//  empty; what is left in it belongs to the caller. Prints one line of JSON: p50 and p99 of both in
//  microseconds. One thread.

#include "bench.h"
#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

#define VALUE_BYTES 4096      //  what is made durable at a time
#define SLOTS 64              //  places in the file, keys in LMDB; the first lap is the warm-up
#define MAP_BYTES (64 << 20)  //  of LMDB
#define SAMPLES_MAX 1000000   //  most measurements kept

static char s_value [VALUE_BYTES];

static void
s_check (int rc, const char *what)
{
    if (rc)
        bench_fail (1, "%s: %s", what, mdb_strerror (rc));
}

//  Open the file, every byte written and on disk
static int
s_open_file (void)
{
    int file = open ("raw", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        bench_fail (1, "raw: %s", strerror (errno));
    for (int slot = 0; slot < SLOTS; slot++)
        if (pwrite (file, s_value, VALUE_BYTES, (off_t) slot * VALUE_BYTES) != VALUE_BYTES)
            bench_fail (1, "raw: %s", strerror (errno));
    if (fsync (file))
        bench_fail (1, "raw: %s", strerror (errno));
    return file;
}

static double
s_write_raw_us (int file, uint64_t number)
{
    int64_t start_ns = bench_now_ns ();
    off_t offset = (off_t) (number % SLOTS) * VALUE_BYTES;
    if (pwrite (file, s_value, VALUE_BYTES, offset) != VALUE_BYTES || fdatasync (file))
        bench_fail (1, "raw: %s", strerror (errno));
    return (double) (bench_now_ns () - start_ns) / 1e3;
}

static MDB_dbi
s_open_lmdb (MDB_env *env)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    s_check (mdb_env_set_mapsize (env, MAP_BYTES), "map size");
    s_check (mdb_env_open (env, ".", 0, 0600), "open");
    s_check (mdb_txn_begin (env, NULL, 0, &txn), "begin");
    s_check (mdb_dbi_open (txn, NULL, 0, &dbi), "database");
    s_check (mdb_txn_commit (txn), "commit");
    return dbi;
}

static double
s_write_lmdb_us (MDB_env *env, MDB_dbi dbi, uint64_t number)
{
    int64_t start_ns = bench_now_ns ();
    uint64_t slot = number % SLOTS;
    MDB_val key = {sizeof slot, &slot}, value = {VALUE_BYTES, s_value};
    MDB_txn *txn;
    s_check (mdb_txn_begin (env, NULL, 0, &txn), "begin");
    s_check (mdb_put (txn, dbi, &key, &value, 0), "put");
    s_check (mdb_txn_commit (txn), "commit");
    return (double) (bench_now_ns () - start_ns) / 1e3;
}

int
main (int argc, char **argv)
{
    static const struct option names [] = {
        {"seconds", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    double seconds = 2;
    int name;
    while ((name = getopt_long (argc, argv, "", names, NULL)) != -1) {
        if (name != 's')
            exit (2);
        seconds = bench_option ("seconds", optarg, 0.001, 1e6);
    }
    if (argc - optind != 1)
        bench_fail (2, "one directory is needed");
    if (chdir (argv [optind]))
        bench_fail (1, "%s: %s", argv [optind], strerror (errno));

    double *raw = malloc (SAMPLES_MAX * sizeof *raw), *lmdb = malloc (SAMPLES_MAX * sizeof *lmdb);
    MDB_env *env;
    if (!raw || !lmdb || mdb_env_create (&env))
        bench_fail (1, "no memory");
    memset (s_value, 'z', sizeof s_value);
    int file = s_open_file ();
    MDB_dbi dbi = s_open_lmdb (env);
    for (uint64_t number = 0; number < SLOTS; number++)
        s_write_lmdb_us (env, dbi, number);

    size_t count = 0;
    int64_t close_ns = bench_now_ns () + (int64_t) (seconds * 1e9);
    do {
        raw [count] = s_write_raw_us (file, count);
        lmdb [count] = s_write_lmdb_us (env, dbi, count);
    } while (++count < SAMPLES_MAX && bench_now_ns () < close_ns);

    printf ("{\"raw_p50_us\": %.1f, \"raw_p99_us\": %.1f, \"lmdb_p50_us\": %.1f, "
            "\"lmdb_p99_us\": %.1f, \"writes\": %zu}\n",
            bench_percentile (raw, count, 0.5), bench_percentile (raw, count, 0.99),
            bench_percentile (lmdb, count, 0.5), bench_percentile (lmdb, count, 0.99), count);
    mdb_env_close (env);
    close (file);
    free (raw);
    free (lmdb);
    return 0;
}
