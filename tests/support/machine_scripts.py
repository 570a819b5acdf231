"""What the laboratory's first processes run: the one below which everything lives, and each machine's."""

OUTER = """\
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755,size=75% laboratory "$BASE"
mkdir "$BASE/shared"
chmod 1777 "$BASE/shared"
ip link set lo up
ip link add wire type bridge
ip link set wire up
echo ready
exec cat
"""
"""Runs as the process that everything lives below, and ends when its input does."""

MACHINE = """\
set -e
mount --make-rprivate /
root="$BASE/$NAME/root" disk="$BASE/$NAME/disk"
mkdir -p "$root" "$disk"/{home,root,etc,etc-work,var,var-work}
mount -t tmpfs -o mode=755 machine "$root"
cd "$root"
for name in usr opt bin sbin lib lib32 lib64 libx32; do
    if test -L "/$name"; then cp -P "/$name" "$name"
    elif test -d "/$name"; then mkdir "$name"; mount --bind "/$name" "$name"; mount -o remount,bind,ro "$name"
    fi
done
mkdir -p etc var home root tmp run proc sys dev shared mnt
for name in etc var; do
    mount -t overlay -o "lowerdir=/$name,upperdir=$disk/$name,workdir=$disk/$name-work" machine "$name"
done
chmod 711 "$disk/root"  # what is lent may lie below it
mount --bind "$disk/home" home
mount --bind "$disk/root" root
mount --bind "$BASE/shared" shared
ln -s /shared mnt/share
mount -t tmpfs -o mode=1777 machine tmp
mount -t tmpfs -o mode=755 machine run
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 machine dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
while read -r from to; do
    test -n "$from" || continue
    if test -d "$from"; then mkdir -p ".$to"; else mkdir -p ".${to%/*}"; touch ".$to"; fi
    mount --bind "$from" ".$to"
    mount -o remount,bind,ro ".$to"
done <<< "$LENT"
number=0
while read -r from to; do
    test -n "$from" || continue
    mkdir -p "$disk/own/$number" "$disk/own/$number-work" ".$to"
    mount -t overlay -o "lowerdir=$from,upperdir=$disk/own/$number,workdir=$disk/own/$number-work" machine ".$to"
    chown --reference="$from" "$disk/own/$number"
    number=$((number + 1))
done <<< "$COPIED"
mkdir .before
pivot_root . .before
umount -l /.before
rmdir /.before
hostname "$NAME"
ip link set lo up
until ip link show eth0 > /dev/null 2>&1; do sleep 0.05; done
ip link set eth0 up
if test -n "$ADDRESS"; then ip address add "$ADDRESS" dev eth0; ip route add default dev eth0; fi
rm -f /etc/resolv.conf
touch /etc/resolv.conf
mkdir -p /run/sshd /run/lock
if test -e /etc/ssh/laboratory; then /usr/sbin/sshd -f /etc/ssh/laboratory; fi
echo ready
while true; do sleep 3600; done
"""
"""Runs as a machine's first process. A shell, because a first process has to take leave of orphans."""

SSHD_CONFIG = """\
ListenAddress 0.0.0.0
HostKey /etc/ssh/laboratory_host_key
PasswordAuthentication no
UsePAM no
UseDNS no
PermitUserEnvironment yes
MaxStartups 100
Subsystem sftp internal-sftp
"""
