import Glibc
import Linux

/// 65,536 user ids of the host that belong to one sandbox while it lives. user_namespaces(7).
public struct UserRange: Hashable, Sendable {
    /// The host's id of the sandbox's uid 0.
    public let first: UInt32

    /// Ids in a range.
    public static let count: UInt32 = 65_536

    /// pid 1's id inside: another than the command's, so that the command can neither signal nor trace it.
    public static let initUserInside: UInt32 = 65_534

    /// The host's own ids, which no sandbox has but one that a test makes without this layer.
    static let ofHost = UserRange(first: 0)

    /// The line for uid_map and gid_map: inside, outside, count.
    var map: String { "0 \(first) \(Self.count)\n" }
}

/// The ranges that one maker of sandboxes may hand out, held by a lock, so that makers side by side on one machine never
/// give two sandboxes the same ids.
struct UserRangeBlock: ~Copyable {
    private let lock: Descriptor
    private let first: UInt32
    private var free: [UInt16]

    /// How many sandboxes the maker has at once.
    package enum Size: Sendable {
        /// A warden's.
        case many
        /// A single run's.
        case one
    }

    /// First id of all: within 0x80000–0x6fffffff, which the systemd project's uid table sets aside for containers, above
    /// what adduser and subuid give out.
    private static let base: UInt32 = 0x1000_0000
    private static let rangesPerBlock = 4096
    private static let blocks = 4
    /// Ranges behind the blocks, each for one run: together they end below 0x7000_0000.
    private static let singles = 8192

    /// Takes the first block, or the first single range, that nobody else holds: the lock file has a byte for each range.
    /// - Parameter lockFolder: shared by all makers of the machine.
    init(_ size: Size, lockFolder: String) throws(SystemError) {
        try File.makeDirectories(lockFolder, mode: 0o755)
        let file = try File.open(lockFolder + "/user-ranges.lock", O_RDWR | O_CREAT, mode: 0o600)
        for candidate in Self.candidates(size) {
            guard try File.lock(file, bytes: UInt64(candidate.lowerBound)..<UInt64(candidate.upperBound)) else {
                continue
            }
            lock = file
            first = Self.base + UInt32(candidate.lowerBound) * UserRange.count
            free = candidate.indices.reversed().map { UInt16($0 - candidate.lowerBound) }
            return
        }
        throw SystemError(EBUSY, "all ranges of user ids are held by others (\(lockFolder)/user-ranges.lock)")
    }

    private static func candidates(_ size: Size) -> [Range<Int>] {
        switch size {
        case .many: (0..<blocks).map { $0 * rangesPerBlock..<($0 + 1) * rangesPerBlock }
        case .one:
            // Runs begin at different places, so that a thousand of them do not try the same bytes.
            (0..<singles).map { number in
                let start = blocks * rangesPerBlock + (number + Int(getpid())) % singles
                return start..<start + 1
            }
        }
    }

    /// A range that no sandbox has; nil when all are taken.
    mutating func take() -> UserRange? {
        guard let index = free.popLast() else { return nil }
        return UserRange(first: first + UInt32(index) * UserRange.count)
    }

    /// Gives a range back once nothing of its sandbox is left.
    mutating func giveBack(_ range: UserRange) { free.append(UInt16((range.first - first) / UserRange.count)) }
}
