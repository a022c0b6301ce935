/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Complaints about a configuration, one case each: line `line` of the base file is replaced by a text
 * (line 13: added behind it; 0: the text is the whole file), and these are all its complaints.
 */

#ifndef WEIR_TESTS_CONFIG_COMPLAINTS_H
#define WEIR_TESTS_CONFIG_COMPLAINTS_H

/* clang-format off */
#define BASE                                                                                       \
	"version: 1\n"                                                                             \
	"ports:\n"                                                                                 \
	"  - {name: front, device: eth1}\n"                                                        \
	"services:\n"                                                                              \
	"  - name: web\n"                                                                          \
	"    address: 203.0.113.10\n"                                                              \
	"    port: 80\n"                                                                           \
	"    protocol: tcp\n"                                                                      \
	"    mode: nat\n"                                                                          \
	"    source-addresses: [10.0.0.1]\n"                                                       \
	"    backends:\n"                                                                          \
	"      - {address: 10.0.0.11, port: 8080}\n"

#define NAME_WANTED "expected a name of 1 to 63 letters, digits, '.', '_' and '-' that begins with a letter or digit\n"
#define UNICAST "is a loopback, link-local, multicast or unspecified address"
#define ADDRESS_WANTED "expected an address such as 10.0.0.1 or 2001:db8::1\n"
#define PREFIX_WANTED "expected an address or prefix such as 203.0.113.10 or 2001:db8::/64\n"
#define UTF8_WANTED "expected a text in UTF-8 without control characters\n"

#define A40_BUT_ONE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A40 A40_BUT_ONE "a"

#ifdef WEIR_HAVE_KAFKA
#define STREAM_CASES(X)                                                                            \
	X(stream_missing, "a stream needs brokers", 13, "stream: {topic: t}\n",                    \
		"13:9: stream.brokers: is missing, expected a list of host:port such as "          \
		"[\"kafka1:9092\"]\n")                                                             \
	X(stream_none, "a list of no brokers is refused", 13, "stream: {brokers: []}\n",           \
		"13:19: stream.brokers: has 0 entries, expected at least 1\n")                     \
	X(stream_port, "a broker without a port is refused", 13,                                   \
		"stream: {brokers: [\"k:1\", \"[::1]:9092\", kafka, \"k:0\", \"a b:1\"]}\n",        \
		"13:41: stream.brokers[2]: \"kafka\" is no host:port, expected a list of "          \
		"host:port such as [\"kafka1:9092\"]\n"                                            \
		"13:48: stream.brokers[3]: \"k:0\" is no host:port, expected a list of "            \
		"host:port such as [\"kafka1:9092\"]\n"                                            \
		"13:55: stream.brokers[4]: \"a b:1\" is no host:port, expected a list of "          \
		"host:port such as [\"kafka1:9092\"]\n")                                           \
	X(stream_queue, "a queue out of range is refused", 13,                                     \
		"stream: {brokers: [\"k:1\"], queue: 5}\n",                                        \
		"13:35: stream.queue: 5 is out of range, expected messages 100..1000000\n")        \
	X(stream_choice, "summaries are true or false", 13,                                        \
		"stream: {brokers: [\"k:1\"], summaries: maybe}\n",                                \
		"13:39: stream.summaries: \"maybe\" is unknown, expected true or false\n")
#else
#define STREAM_CASES(X)                                                                            \
	X(stream_absent, "a stream is refused in a build without librdkafka", 13,                  \
		"stream: {brokers: [\"k:1\"]}\n",                                                  \
		"13:9: stream: this weir was built without librdkafka, expected it to be left "    \
		"out\n")
#endif

/* X(identifier, sentence, line, replacement, complaints) */
#define FORM_CASES(X)                                                                              \
	X(empty_file, "an empty file is refused", 0, "",                                           \
		"1:1: file: is empty, expected a configuration\n")                                 \
	X(only_comments, "a file of comments is refused", 0, "# nothing\n\n",                      \
		"1:1: file: is empty, expected a configuration\n")                                 \
	X(scalar_file, "a file that is a word is refused", 0, "weir\n",                            \
		"1:1: file: is a single value, expected a mapping of keys\n")                      \
	X(list_file, "a file that is a list is refused", 0, "- version: 1\n",                      \
		"1:1: file: is a list, expected a mapping of keys\n")                              \
	X(two_documents, "a second document is refused", 13, "---\nversion: 1\n",                  \
		"13:1: file: a second document begins, expected one document in the file\n")       \
	X(tab_indent, "a tab in the indentation is named", 7, "\tport: 80\n",                      \
		"7:1: yaml: a tab stands in the indentation, expected spaces\n")                   \
	X(open_bracket, "a bracket that is not closed is a syntax error", 10,                      \
		"    source-addresses: [10.0.0.1\n",                                               \
		"11:13: yaml: did not find expected ',' or ']' (while parsing a flow sequence "    \
		"that begins on line 10), expected valid YAML\n")                                  \
	X(bad_indent, "a wrong indentation is a syntax error", 7, "   port: 80\n",                 \
		"7:4: yaml: did not find expected '-' indicator (while parsing a block collection " \
		"that begins on line 5), expected valid YAML\n")                                   \
	X(anchor, "an anchor is refused", 11, "    backends: &all\n",                              \
		"11:15: services[0].backends: anchors (&name) are not supported, expected the "    \
		"value alone\n")                                                                   \
	X(alias, "an alias is refused", 7, "    port: *http\n",                                    \
		"7:11: services[0].port: aliases (*name) are not supported, expected the value "   \
		"itself\n")                                                                        \
	X(tag, "a tag is refused", 7, "    port: !!int 80\n",                                      \
		"7:11: services[0].port: tags (!name) are not supported, expected the value "      \
		"alone\n")                                                                         \
	X(latin1, "text that is no UTF-8 is refused with its place", 5, "  - name: caf\xe9\n",     \
		"5:14: file: has a byte 0xe9 here, " UTF8_WANTED)                                  \
	X(overlong, "overlong UTF-8 is refused", 5, "  - name: \xc0\x80\n",                        \
		"5:11: file: has a byte 0xc0 here, " UTF8_WANTED)                                  \
	X(control, "a control character is refused", 5, "  - name: a\x07\n",                       \
		"5:12: file: has a byte 0x07 here, " UTF8_WANTED)                                  \
	X(map_key, "a mapping as a key is refused", 7, "    {a: b}: 80\n",                         \
		"7:5: services[0]: a list or mapping stands as a key, expected a word\n")          \
	X(deep, "deep nesting is refused", 0,                                                      \
		"a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",                                       \
		"1:35: a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]"  \
		"[0][0][0][0][0][0]: is nested too deep, expected at most 32 levels\n")            \
	X(no_version, "a missing version is told", 1, "",                                          \
		"1:1: version: is missing, expected 1\n")                                          \
	X(version_two, "another version is the only complaint", 1,                                 \
		"version: 2\nfoo: bar\nservices: [{name: a}, {name: a}]\n",                        \
		"1:10: version: \"2\" is not supported, expected 1\n")                             \
	X(version_list, "a version that is a list is told", 1, "version: [1]\n",                   \
		"1:10: version: is a list, expected 1\n")                                          \
	X(twice, "a key given twice names the first place", 7, "    port: 80\n    port: 81\n",     \
		"8:5: services[0].port: given twice (first on line 7), expected once\n")           \
	X(unknown_near, "an unknown key brings a suggestion", 10,                                  \
		"    source-adresses: [10.0.0.1]\n",                                               \
		"5:5: services[0].source-addresses: is missing, expected at least one IPv4 "       \
		"address for mode nat\n"                                                           \
		"10:5: services[0].source-adresses: unknown key, did you mean "                    \
		"source-addresses?\n")                                                             \
	X(unknown_far, "an unknown key like no other lists those there are", 12,                   \
		"      - {address: 10.0.0.11, colour: red}\n",                                     \
		"12:30: services[0].backends[0].colour: unknown key, expected one of address, "    \
		"port, weight\n")                                                                  \
	X(unknown_top, "an unknown key at the top is told", 13, "zzz: 1\n",                        \
		"13:1: zzz: unknown key, expected one of version, dataplane, ports, services, "    \
		"neighbours, policy, metrics, probes, stream\n")                                                   \
	X(strange_key, "a key with strange characters stays on one line", 13, "\"a\\nb\": 1\n",    \
		"13:1: a?b: unknown key, expected one of version, dataplane, ports, services, "    \
		"neighbours, policy, metrics, probes, stream\n")                                                   \
	X(cut_character, "a long text is cut to whole characters", 5,                              \
		"  - name: " A40 A40_BUT_ONE "\xc3\xa9\n",                                        \
		"5:11: services[0].name: \"" A40 A40_BUT_ONE "?\" is not a name, " NAME_WANTED)    \
	X(several, "all complaints come in the order of the file", 0,                              \
		"services:\n  - {name: -x, port: 0, address: 1.2.3, mode: nat, protocol: sctp}\n"  \
		"ports: []\nversion: 1\n",                                                         \
		"2:5: services[0].source-addresses: is missing, expected at least one source "     \
		"address for mode nat\n"                                                           \
		"2:12: services[0].name: \"-x\" is not a name, " NAME_WANTED                       \
		"2:22: services[0].port: 0 is out of range, expected a port 1..65535 or any\n"     \
		"2:34: services[0].address: \"1.2.3\" is not an address or prefix, " PREFIX_WANTED \
		"2:62: services[0].protocol: \"sctp\" is unknown, expected tcp or udp\n"           \
		"3:8: ports: has 0 entries, expected at least 1\n")

#define VALUE_CASES(X)                                                                             \
	X(no_ports, "ports are required", 0, "version: 1\n",                                       \
		"1:1: ports: is missing, expected a list of mappings\n")                           \
	X(ports_scalar, "ports that are a word are told", 0, "version: 1\nports: front\n",         \
		"2:8: ports: is a single value, expected a list of mappings\n")                    \
	X(ports_null, "ports that are empty are told", 0, "version: 1\nports:\n",                  \
		"2:7: ports: is empty, expected a list of mappings\n")                             \
	X(port_word, "a port that is a word is told", 3, "  - front\n",                            \
		"3:5: ports[0]: is a single value, expected a mapping of keys\n")                  \
	X(port_nameless, "a port without name and device has two complaints", 3, "  - {}\n",       \
		"3:5: ports[0].name: is missing, " NAME_WANTED                                     \
		"3:5: ports[0].device: is missing, expected the name of a network interface such " \
		"as eth1, or 0000:3b:00.0\n")                                                                       \
	X(pci_function, "a PCI function beyond 7 is refused", 3,                                   \
		"  - {name: front, device: 3b:00.8}\n",                                            \
		"3:27: ports[0].device: \"3b:00.8\" is neither an interface nor a PCI address, "   \
		"expected the name of a network interface such as eth1, or 0000:3b:00.0\n")        \
	X(pci_name, "a PCI port's name has to do for an interface", 3,                             \
		"  - {name: a-name-of-16-cha, device: 0000:3b:00.0}\n",                            \
		"3:12: ports[0].name: a-name-of-16-cha cannot be the name of a PCI port's kernel " \
		"interface, expected at most 15 characters and not lo\n")                          \
	X(pci_twice, "one PCI device written in two ways is told", 3,                              \
		"  - {name: front, device: 0000:3b:00.0}\n  - {name: back, device: '3b:00.0'}\n",  \
		"4:26: ports[1].device: 0000:3b:00.0 is used already, expected another one\n")     \
	X(pci_interface, "a PCI port is not called as another's interface", 3,                     \
		"  - {name: front, device: eth1}\n  - {name: eth1, device: '3b:00.0'}\n",          \
		"4:12: ports[1].name: eth1 is the interface of another port, expected a name of "  \
		"its own for a PCI port's kernel interface\n")                                     \
	X(device_long, "an interface name of 16 characters is refused", 3,                         \
		"  - {name: front, device: abcdefghijklmnop}\n",                                   \
		"3:27: ports[0].device: \"abcdefghijklmnop\" is neither an interface nor a PCI "   \
		"address, expected the name of a network interface such as eth1, or 0000:3b:00.0\n")                         \
	X(cores_range, "a core range the wrong way round is refused", 1,                           \
		"version: 1\ndataplane:\n  cores: [3-1]\n",                                        \
		"3:11: dataplane.cores[0]: \"3-1\" is not a CPU, expected a CPU 0..1023 or a "     \
		"range such as 2-3\n")                                                             \
	X(cores_twice, "a core listed twice is refused", 1,                                        \
		"version: 1\ndataplane:\n  cores: [1-3, 2]\n",                                     \
		"3:16: dataplane.cores[1]: CPU 2 is listed twice, expected once\n")                \
	X(cores_scalar, "cores that are no list are refused", 1,                                   \
		"version: 1\ndataplane:\n  cores: 2\n",                                            \
		"3:10: dataplane.cores: is a single value, expected a list of CPUs such as "       \
		"[1, 2-3]\n")                                                                      \
	X(cores_many, "more CPUs than there can be are refused", 1,                                \
		"version: 1\ndataplane:\n  cores: [0-64]\n",                                       \
		"3:10: dataplane.cores: has 65 CPUs, expected at most 64\n")                       \
	X(idle, "an unknown choice lists the choices", 1,                                          \
		"version: 1\ndataplane: {idle: nap}\n",                                            \
		"2:19: dataplane.idle: \"nap\" is unknown, expected sleep, spin or interrupt\n")              \
	X(hugepages, "three choices are listed with commas", 1,                                    \
		"version: 1\ndataplane: {hugepages: yes}\n",                                       \
		"2:24: dataplane.hugepages: \"yes\" is unknown, expected auto, required or "       \
		"none\n")                                                                          \
	X(memory_small, "too little memory is refused", 1,                                         \
		"version: 1\ndataplane: {memory: 512}\n",                                          \
		"2:21: dataplane.memory: 512 is out of range, expected a size 32M..1024G such as " \
		"512M\n")                                                                          \
	X(memory_unit, "an unknown unit is refused", 1,                                            \
		"version: 1\ndataplane: {memory: 512MB}\n",                                        \
		"2:21: dataplane.memory: \"512MB\" has an unknown unit, expected a size "          \
		"32M..1024G such as 512M\n")                                                       \
	X(memory_overflow, "a number beyond 64 bits is refused", 1,                                \
		"version: 1\ndataplane: {memory: 17179869184G}\n",                                 \
		"2:21: dataplane.memory: \"17179869184G\" is too large, expected a size "          \
		"32M..1024G such as 512M\n")                                                       \
	X(name_chars, "a name with a blank is refused", 5, "  - name: my web\n",                   \
		"5:11: services[0].name: \"my web\" is not a name, " NAME_WANTED)                  \
	X(name_long, "a name of 64 characters is refused", 5,                                      \
		"  - name: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg\n",    \
		"5:11: services[0].name: \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"     \
		"ffffffffffgggg\" is not a name, " NAME_WANTED)                                    \
	X(address_bad, "an address that is none is refused", 6, "    address: 203.0.113.256\n",    \
		"6:14: services[0].address: \"203.0.113.256\" is not an address or prefix, "       \
		PREFIX_WANTED)                                                                     \
	X(address_mapped, "an IPv4-mapped address is refused", 6,                                  \
		"    address: \"::ffff:203.0.113.10\"\n",                                          \
		"6:14: services[0].address: \"::ffff:203.0.113.10\" is not an address or prefix, " \
		PREFIX_WANTED)                                                                     \
	X(address_loopback, "a loopback address is refused", 6, "    address: 127.0.0.1\n",        \
		"6:14: services[0].address: 127.0.0.1 " UNICAST ", " PREFIX_WANTED)                \
	X(address_multicast, "a multicast address is refused", 12,                                 \
		"      - {address: \"ff02::1\"}\n",                                                \
		"12:19: services[0].backends[0].address: ff02::1 " UNICAST ", " ADDRESS_WANTED)    \
	X(prefix_bits, "bits behind a prefix are refused with what would fit", 6,                  \
		"    address: 203.0.113.10/24\n",                                                  \
		"6:14: services[0].address: 203.0.113.10/24 has bits set behind its prefix "       \
		"(203.0.113.0/24 has none), " PREFIX_WANTED)                                       \
	X(prefix_long, "a prefix longer than an address is refused", 6,                            \
		"    address: 203.0.113.0/33\n",                                                   \
		"6:14: services[0].address: \"203.0.113.0/33\" has a prefix length that is not "   \
		"1..32, " PREFIX_WANTED)                                                           \
	X(port_high, "a port over 65535 is refused", 7, "    port: 70000\n",                       \
		"7:11: services[0].port: 70000 is out of range, expected a port 1..65535 or "      \
		"any\n")                                                                           \
	X(port_word2, "a port that is a word is refused", 7, "    port: http\n",                   \
		"7:11: services[0].port: \"http\" is not a number, expected a port 1..65535 or "   \
		"any\n")                                                                           \
	X(port_octal, "a number with a leading zero is refused", 7, "    port: 080\n",             \
		"7:11: services[0].port: \"080\" has a leading zero, expected a port 1..65535 or " \
		"any\n")                                                                           \
	X(port_negative, "a negative number is refused", 7, "    port: -80\n",                     \
		"7:11: services[0].port: \"-80\" is negative, expected a port 1..65535 or any\n")  \
	X(port_map, "a mapping where a value should be is refused", 7, "    port: {a: 1}\n",       \
		"7:11: services[0].port: is a mapping, expected a port 1..65535 or any\n")         \
	X(port_null, "a value that is missing behind its key is told", 7, "    port:\n",           \
		"7:10: services[0].port: is empty, expected a port 1..65535 or any\n")             \
	X(weight, "a weight over 65535 is refused", 12,                                            \
		"      - {address: 10.0.0.11, weight: 65536}\n",                                   \
		"12:38: services[0].backends[0].weight: 65536 is out of range, expected a whole "  \
		"number 0..65535\n")                                                               \
	X(weight_fraction, "a weight with a fraction is refused", 12,                              \
		"      - {address: 10.0.0.11, weight: 1.5}\n",                                     \
		"12:38: services[0].backends[0].weight: \"1.5\" is not a whole number, expected "  \
		"a whole number 0..65535\n")                                                       \
	X(rate_unit, "a rate with a unit of sizes is refused", 13,                                 \
		"    limits: {packets: 1KiB}\n",                                                   \
		"13:23: services[0].limits.packets: \"1KiB\" has an unknown unit, expected "       \
		"packets per second 0..10G such as 1M\n")                                          \
	X(rate_fraction, "a rate that is no whole number is refused", 13,                          \
		"    limits: {connections: 1.2345k}\n",                                            \
		"13:27: services[0].limits.connections: \"1.2345k\" is not a whole number, "       \
		"expected new flows per second 0..10G such as 50k\n")                              \
	X(burst_unit, "a time without a unit is refused", 13, "    limits: {burst: 10}\n",         \
		"13:21: services[0].limits.burst: \"10\" has no unit, expected a time 100us..1m "  \
		"such as 10ms\n")                                                                  \
	X(interval, "an interval out of range is refused", 13,                                     \
		"    health: {interval: 2h, timeout: 1s}\n",                                       \
		"13:24: services[0].health.interval: 2h is out of range, expected a time "         \
		"10ms..1h such as 1s\n")                                                           \
	X(path, "a path without a slash is refused", 13,                                           \
		"    health: {type: http, path: healthz}\n",                                       \
		"13:32: services[0].health.path: \"healthz\" is not a path, expected a path such " \
		"as /healthz\n")                                                                   \
	X(mac, "a MAC address that is too short is refused", 13,                                   \
		"neighbours:\n  - {address: 10.0.0.11, mac: \"02:00:11\", port: front}\n",         \
		"14:31: neighbours[0].mac: \"02:00:11\" is not a MAC address, expected a MAC "     \
		"address such as \"02:00:00:00:00:11\"\n")                                         \
	X(mac_group, "a group MAC address is refused", 13,                                         \
		"neighbours:\n  - {address: 10.0.0.11, mac: \"01:00:5e:00:00:11\", port: front}\n",\
		"14:31: neighbours[0].mac: 01:00:5e:00:00:11 is not the MAC address of one host, " \
		"expected a MAC address such as \"02:00:00:00:00:11\"\n")                          \
	X(listen, "a metrics address without a port is refused", 13,                               \
		"metrics: {listen: \"127.0.0.1\"}\n",                                              \
		"13:19: metrics.listen: \"127.0.0.1\" is not an address and port, expected "       \
		"ADDRESS:PORT such as \"127.0.0.1:9464\" or \"[::1]:9464\"\n")                     \
	STREAM_CASES(X)                                                                            \
	X(listen_missing, "metrics need listen", 13, "metrics: {}\n",                              \
		"13:10: metrics.listen: is missing, expected ADDRESS:PORT such as "                \
		"\"127.0.0.1:9464\" or \"[::1]:9464\"\n")

#define POLICY_CASES(X)                                                                           \
	X(policy, "a policy without an object is refused", 13,                                     \
		"    policy: {mode: observe}\n",                                                   \
		"13:13: services[0].policy.object: is missing, expected a path such as "           \
		"policies/guard.o\n")                                                              \
	X(policy_list, "policies of a list are checked each", 13,                                  \
		"    policy: [{object: a.o}, {object: b.o, mode: off}]\n",                         \
		"13:49: services[0].policy[1].mode: \"off\" is unknown, expected enforce or "      \
		"observe\n")                                                                       \
	X(policy_text, "a policy is no text", 13, "    policy: a.o\n",                             \
		"13:13: services[0].policy: is a single value, expected a mapping or a list of "   \
		"them\n")                                                                          \
	X(policy_offload, "a policy is in the kernel where it can, or never", 13,                  \
		"    policy: {object: a.o, offload: always}\n",                                    \
		"13:36: services[0].policy.offload: \"always\" is unknown, expected auto or "      \
		"never\n")                                                                         \
	X(policy_set, "a policy's parameters are numbers", 13,                                     \
		"    policy: {object: a.o, set: {rate: fast, burst: 1, burst: 2}}\n",              \
		"13:39: services[0].policy.set.rate: \"fast\" is no setting, expected a mapping "  \
		"of names to whole numbers such as {rate: 500}\n"                                  \
		"13:62: services[0].policy.set.burst: given twice (first on line 13), expected "   \
		"once\n")                                                                          \
	X(class_twice, "two classes of a name are refused", 13,                                    \
		"    classes: [{name: a}, {name: a}]\n",                                           \
		"13:33: services[0].classes[1].name: a is used already (on line 13), expected "     \
		"another one\n")                                                                   \
	X(pool_empty, "a pool without backends is refused", 13,                                    \
		"    pools: [{name: a, backends: []}]\n",                                          \
		"13:33: services[0].pools[0].backends: has 0 entries, expected at least 1\n")      \
	X(outside_policy, "the policy outside of services is checked too", 13,                     \
		"policy: {object: a.o, budget: 0}\n",                                              \
		"13:31: policy.budget: 0 is out of range, expected a whole number 1..1000000000\n") \
	X(source_prefix, "a source's prefix is at most as long as an address", 13,                 \
		"    limits:\n      per-source: {prefix4: 33}\n",                                  \
		"14:29: services[0].limits.per-source.prefix4: 33 is out of range, expected a "    \
		"whole number 1..32\n")

#define ADAPT_CASES(X)                                                                             \
	X(objective_empty, "an objective needs a percentile", 13, "    objective: {}\n",           \
		"13:16: services[0].objective.p99: is missing, expected a time 100us..1m such as " \
		"20ms\n")                                                                          \
	X(adapt_mode, "a controller is on, observe or off", 13,                                    \
		"    objective: {p99: 20ms}\n    adapt: {weights: perhaps}\n",                     \
		"14:22: services[0].adapt.weights: \"perhaps\" is unknown, expected on, observe or " \
		"off\n")                                                                           \
	X(adapt_blind, "dsr has no latency to adapt to", 9,                                        \
		"    mode: dsr\n    objective: {p99: 20ms}\n    adapt: {weights: on}\n",           \
		"11:22: services[0].adapt.weights: dsr does not see replies, which this goes by, " \
		"expected off or probes\n"                                                                   \
		"12:23: services[0].source-addresses: dsr does not translate addresses, expected " \
		"it to be left out\n"                                                              \
		"14:36: services[0].backends[0].port: dsr does not translate ports, expected the " \
		"service's, 80\n")                                                                 \
	X(adapt_shed, "shedding needs an objective", 13, "    adapt: {shed: on}\n",                \
		"13:19: services[0].adapt.shed: is given without objective, expected off or an "   \
		"objective\n")

#define RULE_CASES(X)                                                                              \
	X(port_names, "two ports with one name are refused", 3,                                    \
		"  - {name: front, device: eth1}\n  - {name: front, device: eth2}\n",              \
		"4:12: ports[1].name: front is used already (on line 3), expected another one\n")  \
	X(port_devices, "two ports on one device are refused", 3,                                  \
		"  - {name: front, device: eth1}\n  - {name: back, device: eth1}\n",               \
		"4:26: ports[1].device: eth1 is used already (on line 3), expected another one\n") \
	X(service_names, "two services with one name are refused", 13,                             \
		"  - {name: web, address: 203.0.113.11, port: 80, protocol: tcp, mode: dsr}\n",    \
		"13:12: services[1].name: web is used already (on line 5), expected another one\n")\
	X(same_service, "two services for the same packets are refused", 13,                       \
		"  - {name: b, address: 203.0.113.10, port: 80, protocol: tcp, mode: dsr}\n",      \
		"13:24: services[1].address: services[0] has the same address, protocol and port " \
		"(on line 6), expected another one\n")                                             \
	X(sources_missing, "nat needs source addresses", 10, "",                                   \
		"5:5: services[0].source-addresses: is missing, expected at least one IPv4 "       \
		"address for mode nat\n")                                                          \
	X(sources_empty, "an empty list of source addresses is refused", 10,                       \
		"    source-addresses: []\n",                                                      \
		"10:23: services[0].source-addresses: is empty, expected at least one IPv4 "       \
		"address for mode nat\n")                                                          \
	X(sources_family, "source addresses of the other family alone are refused", 10,            \
		"    source-addresses: [\"fd00::1\"]\n",                                           \
		"10:23: services[0].source-addresses: has no IPv4 address, expected at least one " \
		"as the service's is\n")                                                           \
	X(sources_twice, "a source address listed twice is refused", 10,                           \
		"    source-addresses: [10.0.0.1, 10.0.0.1]\n",                                    \
		"10:34: services[0].source-addresses[1]: 10.0.0.1 is listed twice, expected "      \
		"once\n")                                                                          \
	X(source_is_service, "a source address that is a service's is refused", 10,                \
		"    source-addresses: [203.0.113.10]\n",                                          \
		"10:24: services[0].source-addresses[0]: 203.0.113.10 is an address of "           \
		"services[0] (on line 6), expected one that is no service's\n")                    \
	X(source_in_prefix, "a source address inside a service's prefix is refused", 13,           \
		"  - {name: b, address: 10.0.0.0/24, port: 1, protocol: tcp, mode: dsr}\n",        \
		"10:24: services[0].source-addresses[0]: 10.0.0.1 is an address of services[1] "   \
		"(on line 13), expected one that is no service's\n")                               \
	X(dsr_sources, "dsr with source addresses is refused", 9, "    mode: dsr\n",               \
		"10:23: services[0].source-addresses: dsr does not translate addresses, expected " \
		"it to be left out\n"                                                              \
		"12:36: services[0].backends[0].port: dsr does not translate ports, expected the " \
		"service's, 80\n")                                                                 \
	X(backend_family, "a backend of the other family is refused", 12,                          \
		"      - {address: \"2001:db8::1\"}\n",                                            \
		"12:19: services[0].backends[0].address: 2001:db8::1 is an IPv6 address, "         \
		"expected IPv4 as the service's\n")                                                \
	X(backend_twice, "a backend listed twice is refused", 13,                                  \
		"      - {address: 10.0.0.11, port: 8080, weight: 1}\n",                           \
		"13:19: services[0].backends[1].address: 10.0.0.11 port 8080 is listed already "   \
		"(on line 12), expected once\n")                                                   \
	X(fallback_twice, "a backend that is in both pools is refused", 13,                        \
		"    fallback:\n      - {address: 10.0.0.11, port: 8080}\n",                       \
		"14:19: services[0].fallback[0].address: 10.0.0.11 port 8080 is listed already "   \
		"(on line 12), expected once\n")                                                   \
	X(fallback_family, "a fallback backend of the other family is refused", 13,                \
		"    fallback:\n      - {address: \"2001:db8::1\"}\n",                             \
		"14:19: services[0].fallback[0].address: 2001:db8::1 is an IPv6 address, "         \
		"expected IPv4 as the service's\n")                                                \
	X(proxy_udp, "the PROXY protocol needs tcp", 8,                                            \
		"    protocol: udp\n    proxy-protocol: v2\n",                                      \
		"9:21: services[0].proxy-protocol: needs a service of protocol tcp, expected "     \
		"none\n")                                                                          \
	X(proxy_dsr, "the PROXY protocol needs nat", 13,                                           \
		"  - {name: d, address: 203.0.113.11, port: 80, protocol: tcp, mode: dsr,\n"        \
		"     proxy-protocol: v2}\n",                                                       \
		"14:22: services[1].proxy-protocol: dsr leaves the client's address as it is, "    \
		"expected none\n")                                                                 \
	X(proxy_version, "version 1 of the PROXY protocol is refused", 13,                         \
		"    proxy-protocol: v1\n",                                                         \
		"13:21: services[0].proxy-protocol: \"v1\" is unknown, expected none or v2\n")      \
	X(affinity_without, "keys of an affinity that there is not are refused", 13,               \
		"    affinity: {timeout: 1m}\n",                                                   \
		"13:25: services[0].affinity.timeout: is given without type source, expected it "  \
		"to be left out\n")                                                                \
	X(affinity_range, "an affinity out of range is refused", 13,                               \
		"    affinity: {type: source, prefix4: 33, timeout: 10ms, places: 10}\n",          \
		"13:39: services[0].affinity.prefix4: 33 is out of range, expected a whole "       \
		"number 1..32\n"                                                                   \
		"13:52: services[0].affinity.timeout: 10ms is out of range, expected a time "      \
		"1s..720h such as 1h\n"                                                            \
		"13:66: services[0].affinity.places: 10 is out of range, expected a whole number " \
		"1024..16777216\n")                                                                \
	X(affinity_type, "an unknown affinity is refused", 13, "    affinity: {type: cookie}\n",   \
		"13:22: services[0].affinity.type: \"cookie\" is unknown, expected none or "       \
		"source\n")                                                                        \
	X(backend_loop, "a backend at the service's address is refused", 12,                       \
		"      - {address: 203.0.113.10}\n",                                               \
		"12:19: services[0].backends[0].address: 203.0.113.10 is the address of "          \
		"services[0] (on line 6), packets would come back, expected another host\n")       \
	X(backend_source, "a backend at a source address is refused", 12,                          \
		"      - {address: 10.0.0.1}\n",                                                   \
		"12:19: services[0].backends[0].address: 10.0.0.1 is one of source-addresses, "    \
		"expected another host\n")                                                         \
	X(backend_port_any, "nat with port any needs the backends' ports", 0,                      \
		"version: 1\nports: [{name: a, device: b}]\nservices:\n"                           \
		"  - name: web\n    address: 203.0.113.10\n    port: any\n    protocol: tcp\n"     \
		"    mode: nat\n    source-addresses: [10.0.0.1]\n    backends:\n"                 \
		"      - {address: 10.0.0.11}\n",                                                  \
		"11:9: services[0].backends[0].port: is missing, expected a port 1..65535 as the " \
		"service's is any\n")                                                              \
	X(dsr_any_port, "dsr with port any has no backend ports", 0,                               \
		"version: 1\nports: [{name: a, device: b}]\nservices:\n"                           \
		"  - {name: web, address: 203.0.113.10, port: any, protocol: tcp, mode: dsr,\n"    \
		"     backends: [{address: 10.0.0.11, port: 80}], health: {type: tcp}}\n",         \
		"5:44: services[0].backends[0].port: dsr does not translate ports, expected it to "\
		"be left out as the service's is any\n"                                            \
		"5:65: services[0].health.type: backends of a dsr service with port any have no "  \
		"port to check, expected none\n")                                                  \
	X(http_udp, "an http check of a udp service is refused", 8,                                \
		"    protocol: udp\n    health: {type: http}\n",                                   \
		"9:20: services[0].health.type: http needs a service of protocol tcp, expected "   \
		"tcp or none\n")                                                                   \
	X(timeout, "a timeout as long as the interval is refused", 13,                             \
		"    health: {timeout: 1s, interval: 1000ms}\n",                                   \
		"13:23: services[0].health.timeout: 1s is not less than the interval, expected a " \
		"shorter time\n")                                                                  \
	X(path_tcp, "a path without type http is refused", 13, "    health: {path: /x}\n",         \
		"13:20: services[0].health.path: is given without type http, expected it to be "   \
		"left out\n")                                                                      \
	X(cores_over, "a service with more cores than there are is refused", 13,                   \
		"    cores: 3\ndataplane: {cores: [1-2]}\n",                                       \
		"13:12: services[0].cores: 3 are more than the 2 CPUs of dataplane.cores, "        \
		"expected at most 2\n")                                                            \
	X(cores_over_max, "a range with more cores than there are is refused", 13,         \
		"    cores: {min: 1, max: 3}\ndataplane: {cores: [1-2]}\n",                \
		"13:26: services[0].cores.max: 3 are more than the 2 CPUs of dataplane.cores, " \
		"expected at most 2\n")                                                    \
	X(cores_none, "a range from no core is refused", 13, "    cores: {min: 0, max: 3}\n", \
		"13:18: services[0].cores.min: 0 is out of range, expected a whole number 1..64\n") \
	X(cores_backwards, "a range whose max is below its min is refused", 13,            \
		"    cores: {min: 4, max: 3}\n",                                           \
		"13:26: services[0].cores.max: 3 is less than min, expected at least 4\n") \
	X(cores_half, "a range has both ends", 13, "    cores: {min: 1}\n",                \
		"13:12: services[0].cores.max: is missing, expected a whole number 1..64\n") \
	X(cores_key, "an unknown key of a range is refused", 13,                           \
		"    cores: {min: 1, max: 2, mxa: 3}\n",                                   \
		"13:29: services[0].cores.mxa: unknown key, expected one of min, max\n")          \
	X(cores_list, "a list of cores is refused", 13, "    cores: [1, 2]\n",             \
		"13:12: services[0].cores: is a list, expected a whole number 1..64 or a range " \
		"such as {min: 1, max: 4}\n")                                              \
	X(cores_text, "cores that are no number are refused", 13, "    cores: many\n",     \
		"13:12: services[0].cores: \"many\" is not a number, expected a whole number " \
		"1..64 or a range such as {min: 1, max: 4}\n")                             \
	X(adapt_cores, "cores move only in a range", 13,                                   \
		"    cores: 2\n    adapt: {cores: observe}\n",                             \
		"14:20: services[0].adapt.cores: is given where cores is no range, expected off " \
		"or cores such as {min: 1, max: 4}\n")                                     \
	X(neighbour_port, "a neighbour behind no port of the file is refused", 13,                 \
		"neighbours:\n  - {address: 10.0.0.11, mac: \"02:00:00:00:00:11\", port: side}\n", \
		"14:58: neighbours[0].port: side is not a port of this file, expected the name of "\
		"one\n")                                                                           \
	X(neighbour_twice, "a neighbour listed twice is refused", 13,                              \
		"neighbours:\n  - {address: 10.0.0.11, mac: \"02:00:00:00:00:11\", port: front}\n" \
		"  - {address: 10.0.0.11, mac: \"02:00:00:00:00:12\", port: front}\n",             \
		"15:15: neighbours[1].address: 10.0.0.11 on port front is listed already (on line "\
		"14), expected once\n")
/* clang-format on */

#endif
