# slow receiver at the end; kill of a peer; timeouts; signals
Z="timeout 60 /tmp/zt/zs"; EP=tcp://127.0.0.1:17002
fails=0; for i in $(seq 200); do $Z pull @$EP --count 5 --quiet >/dev/null 2>&1 & $Z push $EP --count 5 2>/tmp/zt/e || { fails=$((fails+1)); cat /tmp/zt/e; }; wait; done; echo flaky $fails of 200
for size in 10 100 1000; do $Z pull @$EP --delay 1 --hwm 1 --count 2000 --quiet & time $Z push $EP --count 2000 --size $size; echo "push $?"; wait; done
echo -- absent; echo hi | $Z push $EP --timeout 300; echo $?
: | $Z push $EP; echo empty $?
echo -- sigint while absent; (echo hi | /tmp/zt/zs push $EP; echo $?) & sleep .3; kill -INT $(pgrep -x zs); wait
echo -- peer that never reads
/usr/bin/python3 - <<'P' &
import zmq,time
s=zmq.Context().socket(zmq.PULL); s.set(zmq.RCVHWM,1); s.bind("tcp://127.0.0.1:17002"); time.sleep(4)
P
sleep .5
$Z push $EP --count 100000 --size 1000 --timeout 500; echo timeout $?
$Z push $EP --count 10000 --size 1000 --linger 500; echo linger $?
$Z push $EP --count 10000 --size 1000 ; echo gone $?
wait
