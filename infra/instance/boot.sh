#!/bin/bash
# Makes a worker of a new machine; the user data of its launch template has
# fetched and checked the package that this file came in, and says the rest by
# variables. What fails ends the machine: the group starts another, and an
# update of the stack that brought it goes back.
#
#   boot.sh crawl|images
#
# TRAWLER_ROOT is for tests: the folder that stands for /.
set -euo pipefail

role=${1:?crawl or image}
here=$(cd "$(dirname "$0")" && pwd)
root=${TRAWLER_ROOT:-}

case $role in
    crawl) command=crawl ;;
    image) command=images ;;
    *) echo "boot.sh: role $role: crawl or image" >&2; exit 2 ;;
esac

signal() {
    aws cloudformation signal-resource --stack-name "$TRAWLER_STACK" \
        --logical-resource-id "$TRAWLER_RESOURCE" --unique-id "$instance" --status "$1" \
        2>/dev/null || true # Outside an update nobody waits for it.
}

instance=$(ec2-metadata --quiet --instance-id)
# The machine goes at once, and its log with it: what `aws ec2
# get-console-output` shows is what is left to read.
give_up() {
    signal FAILURE
    {
        echo "trawler: line $1 of boot.sh failed; the end of the worker's log:"
        tail -n 50 "$root/var/log/trawler/trawler.log"
    } >> "$root/dev/console" 2>&1 || true
    sleep 10 # until the console is taken
    shutdown -h now
}
trap 'give_up $LINENO' ERR

mkdir -p "$root/etc/trawler" "$root/var/log/trawler" "$root/etc/systemd/system/trawler.service.d"
cat > "$root/etc/trawler/role.env" <<END
AWS_REGION=$AWS_DEFAULT_REGION
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
TRAWLER_DIR=$here
TRAWLER_COMMAND=$command
TRAWLER_INSTANCE=$instance
TRAWLER_GROUP=$TRAWLER_GROUP
TRAWLER_FIXED_EGRESS=${TRAWLER_FIXED_EGRESS:-}
END
# Besides the metadata service, the only private addresses that a worker may
# reach: the resolvers of the network, which the unit asks itself where the
# system has no resolver of its own, and our endpoint of SQS and our proxy, if
# the stack has them.
resolvers() {
    cat "$root"/run/systemd/resolve/resolv.conf "$root"/etc/resolv.conf 2>/dev/null |
        sed -n -E 's/^nameserver[[:space:]]+([0-9a-fA-F.:]+).*/\1/p' | sort -u
}
{
    echo "[Service]"
    for address in $(resolvers || true) ${TRAWLER_REACH:-}; do echo "IPAddressAllow=$address"; done
} > "$root/etc/systemd/system/trawler.service.d/reach.conf"
cp "$here"/trawler.service "$here"/trawler-gone.service "$here"/trawler-logs.service "$root/etc/systemd/system/"
cp "$here/logrotate.conf" "$root/etc/logrotate.d/trawler" 2>/dev/null || install -D "$here/logrotate.conf" "$root/etc/logrotate.d/trawler"
sed -e "s|@GROUP@|$TRAWLER_LOGS|" "$here/logs.json" > "$root/etc/trawler/logs.json"

systemctl daemon-reload
# Returns when the worker has said that it works, or fails.
systemctl start trawler.service
signal SUCCESS
trap - ERR
# Takes its time, and nobody waits for it.
systemctl start --no-block trawler-logs.service
