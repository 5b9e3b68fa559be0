#!/bin/sh
#  test_runner.sh - zspool_selftest counts passes, failures, skips and late tests, and cleans up after them
#
#  SPDX-License-Identifier: MPL-2.0

selftest=$ZSPOOL_BUILDDIR/selftest/zspool_selftest

#  A source tree of scripts only, each with its own outcome
mkdir -p tree/selftest/sample tmp
script () { { echo '#!/bin/sh'; cat; } > tree/selftest/sample/test_$1.sh && chmod +x tree/selftest/sample/test_$1.sh; }
script pass << end
echo output of a passing test
end
script fail << end
echo output of a failing test
exit 1
end
script skip << end
echo nothing to do here
exit 77
end
script abort << end
kill -ABRT \$\$
end
script leaves_a_process << end
sleep 1000 &
echo \$! > $PWD/left.pid
touch file; mkdir -p folder/folder
end
script hang << end
sleep 1000 &
echo \$! > $PWD/hung.pid
wait
end
script hang_seen << end
until [ -s $PWD/hung.pid ]; do sleep 0.01; done
end

fail () { echo "$*"; cat log; exit 1; }
run () { status=0; ZSPOOL_SRCDIR=$PWD/tree TMPDIR=$PWD/tmp "$selftest" "$@" > log 2>&1 || status=$?; }

run --limit 2 --test sample/
[ $status = 1 ] || fail "exit status is $status, not 1"
[ "$(tail -n 1 log)" = "3 passed, 3 failed, 1 skipped" ] || fail "wrong last line"
grep -q '^pass .*sample/test_pass.sh$' log || fail "no line for the pass"
grep -q '^skip .*sample/test_skip.sh: nothing to do here$' log || fail "no reason for the skip"
grep -q '^FAIL .*sample/test_abort.sh: Aborted' log || fail "no signal for the abort"
grep -q '^FAIL .*sample/test_hang.sh: not done in time$' log || fail "no line for the late test"
grep -q '^output of a failing test$' log || fail "no output of the failure"
grep -q '^output of a passing test$' log && fail "output of a pass"

[ -z "$(ls tmp)" ] || fail "directories are left"
kill -0 "$(cat left.pid)" 2> /dev/null && fail "a process is left"
kill -0 "$(cat hung.pid)" 2> /dev/null && fail "a process of the late test is left"

run --test sample/test_pass.sh --verbose
[ $status = 0 ] || fail "exit status is $status, not 0"
[ "$(tail -n 1 log)" = "1 passed, 0 failed, 0 skipped" ] || fail "wrong last line"
grep -q '^output of a passing test$' log || fail "no output under --verbose"

run --test no_such_test
[ $status = 2 ] || fail "exit status is $status, not 2, with no test selected"

#  Interrupted: what it had started is gone, too
rm hung.pid
ZSPOOL_SRCDIR=$PWD/tree TMPDIR=$PWD/tmp "$selftest" --test test_hang > log 2>&1 &
until [ -s hung.pid ]; do sleep 0.01; done
kill -TERM $!
wait $! && fail "exit status is 0 after SIGTERM"
kill -0 "$(cat hung.pid)" 2> /dev/null && fail "a process is left after SIGTERM"
[ -z "$(ls tmp)" ] || fail "a directory is left after SIGTERM"

#  Nobody reads any more what it prints
rm hung.pid
ZSPOOL_SRCDIR=$PWD/tree TMPDIR=$PWD/tmp "$selftest" --test test_hang | true
kill -0 "$(cat hung.pid)" 2> /dev/null && fail "a process is left after SIGPIPE"
[ -z "$(ls tmp)" ] || fail "a directory is left after SIGPIPE"
exit 0
