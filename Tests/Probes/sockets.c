// Socket families, protocols and options beyond what programs need, and networks beyond its own loopback.
#include "probe.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct finding family(int number, int type, int protocol) {
    int made = socket(number, type | SOCK_CLOEXEC, protocol);
    return made >= 0 ? found(OPEN, "made") : found(SAFE, "%s", strerror(errno));
}

static struct finding crypto(void) { return family(38, SOCK_SEQPACKET, 0); }
static struct finding machine(void) { return family(40, SOCK_STREAM, 0); }
static struct finding packet(void) { return family(17, SOCK_DGRAM, 0); }
static struct finding raw_packet(void) { return family(17, SOCK_RAW, htons(3)); }
static struct finding key_management(void) { return family(15, SOCK_RAW, 2); }
static struct finding express_data(void) { return family(44, SOCK_RAW, 0); }
static struct finding controller_area(void) { return family(29, SOCK_RAW, 1); }
static struct finding cluster(void) { return family(30, SOCK_SEQPACKET, 0); }
static struct finding bluetooth(void) { return family(31, SOCK_RAW, 1); }
static struct finding remote_calls(void) { return family(33, SOCK_DGRAM, PF_INET); }
static struct finding reliable_datagrams(void) { return family(21, SOCK_SEQPACKET, 0); }
static struct finding kernel_multiplexer(void) { return family(41, SOCK_DGRAM, 0); }
static struct finding near_field(void) { return family(39, SOCK_SEQPACKET, 0); }
static struct finding modem(void) { return family(42, SOCK_DGRAM, 0); }
static struct finding shared_memory(void) { return family(43, SOCK_STREAM, 0); }
static struct finding telephones(void) { return family(35, SOCK_DGRAM, 0); }
static struct finding raw_internet(void) { return family(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static struct finding raw_internet6(void) { return family(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6); }
static struct finding sctp(void) { return family(AF_INET, SOCK_STREAM, 132); }
static struct finding dccp(void) { return family(AF_INET, 6, 33); }
static struct finding multipath(void) { return family(AF_INET, SOCK_STREAM, 262); }
static struct finding tunnels(void) { return family(AF_INET, SOCK_DGRAM, 115); }
static struct finding netfilter(void) { return family(AF_NETLINK, SOCK_RAW, 12); }
static struct finding generic(void) { return family(AF_NETLINK, SOCK_RAW, 16); }
static struct finding audit(void) { return family(AF_NETLINK, SOCK_RAW, 9); }
static struct finding transforms(void) { return family(AF_NETLINK, SOCK_RAW, 6); }
static struct finding uevents(void) { return family(AF_NETLINK, SOCK_RAW, 15); }
static struct finding diagnosis(void) { return family(AF_NETLINK, SOCK_RAW, 4); }

static struct finding high_bits(void) {
    // What lies above the 32 bits that the kernel looks at must not lead past a filter (CVE-2019-10063).
    long made = syscall(41 /* socket */, 17L | 1L << 32, SOCK_DGRAM, 0);
    return made >= 0 ? found(OPEN, "made") : found(SAFE, "%s", strerror(errno));
}

static int connection(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) != 0 || listen(listening, 1) != 0 ||
        getsockname(listening, (struct sockaddr *)&address, &size) != 0 ||
        connect(connected, (struct sockaddr *)&address, sizeof address) != 0)
        return -1;
    return connected;
}

static struct finding kernel_tls(void) {
    int connected = connection();
    if (connected < 0) return found(INFO, "no connection over loopback: %s", strerror(errno));
    return setsockopt(connected, IPPROTO_TCP, 31 /* TCP_ULP */, "tls", 4) == 0
        ? found(OPEN, "on") : found(SAFE, "%s", strerror(errno));
}

static struct finding interfaces(void) {
    char others[200] = "";
    struct if_nameindex *all = if_nameindex();
    if (!all) return found(INFO, "%s", strerror(errno));
    for (struct if_nameindex *one = all; one->if_index; one++)
        if (strcmp(one->if_name, "lo") != 0 && strlen(others) < 150)
            strcat(strcat(others, " "), one->if_name);
    return others[0] ? found(OPEN, "besides lo:%s", others) : found(SAFE, "lo only");
}

static struct finding reaches(const char *address, int number) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)number)};
    inet_pton(AF_INET, address, &to.sin_addr);
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval soon = {.tv_sec = 2};
    setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    if (connect(made, (struct sockaddr *)&to, sizeof to) == 0) return found(OPEN, "connected");
    int nobody_there = errno == EINPROGRESS || errno == EHOSTUNREACH;
    return nobody_there ? found(OPEN, "sent, and had no answer") : found(SAFE, "%s", strerror(errno));
}

static struct finding metadata(void) { return reaches("169.254.169.254", 80); }
static struct finding lan(void) { return reaches("10.0.0.1", 80); }

static struct finding host_port(void) {
    const char *number = canary("port");
    return number ? reaches("127.0.0.1", atoi(number)) : found(INFO, "no port of the host is known");
}

static struct finding loopback(void) {
    return connection() >= 0 ? found(SAFE, "it does") : found(OPEN, "%s", strerror(errno));
}

const struct probe socket_probes[] = {
    {"af-alg", 14, "AF_ALG, the kernel's ciphers (CVE-2026-31431)", crypto},
    {"af-vsock", 15, "AF_VSOCK reaches the hypervisor", machine},
    {"af-packet", 14, "AF_PACKET", packet},
    {"af-packet-raw", 14, "AF_PACKET, raw", raw_packet},
    {"af-packet-high-bits", 19, "AF_PACKET with bits above the 32nd (CVE-2019-10063)", high_bits},
    {"af-key", 14, "AF_KEY", key_management},
    {"af-xdp", 14, "AF_XDP", express_data},
    {"af-can", 14, "AF_CAN", controller_area},
    {"af-tipc", 14, "AF_TIPC", cluster},
    {"af-bluetooth", 14, "AF_BLUETOOTH", bluetooth},
    {"af-rxrpc", 14, "AF_RXRPC", remote_calls},
    {"af-rds", 14, "AF_RDS", reliable_datagrams},
    {"af-kcm", 14, "AF_KCM", kernel_multiplexer},
    {"af-nfc", 14, "AF_NFC", near_field},
    {"af-qipcrtr", 14, "AF_QIPCRTR", modem},
    {"af-smc", 14, "AF_SMC", shared_memory},
    {"af-phonet", 14, "AF_PHONET", telephones},
    {"raw-icmp", 14, "raw ICMP", raw_internet},
    {"raw-icmp6", 14, "raw ICMPv6", raw_internet6},
    {"sctp", 14, "SCTP", sctp},
    {"dccp", 14, "DCCP", dccp},
    {"mptcp", 14, "MPTCP", multipath},
    {"l2tp", 14, "L2TP", tunnels},
    {"netlink-netfilter", 12, "NETLINK_NETFILTER (CVE-2023-32233)", netfilter},
    {"netlink-generic", 14, "NETLINK_GENERIC", generic},
    {"netlink-audit", 14, "NETLINK_AUDIT", audit},
    {"netlink-xfrm", 14, "NETLINK_XFRM", transforms},
    {"netlink-uevent", 14, "NETLINK_KOBJECT_UEVENT", uevents},
    {"netlink-diag", 14, "NETLINK_SOCK_DIAG", diagnosis},
    {"kernel-tls", 14, "TLS in the kernel, by setsockopt(TCP_ULP)", kernel_tls},
    {"interfaces", 24, "a network interface besides lo", interfaces},
    {"host-port", 24, "a service on the host's loopback", host_port},
    {"cloud-metadata", 26, "169.254.169.254", metadata},
    {"local-network", 26, "10.0.0.1", lan},
    {"loopback-works", 24, "its own loopback works", loopback},
    {0},
};
