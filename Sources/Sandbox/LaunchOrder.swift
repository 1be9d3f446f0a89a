import Glibc
import Linux
import Model

/// Where the command's input and output go.
public enum SandboxStreams: Sendable {
    /// These become 0, 1 and 2; they stay the caller's.
    case descriptors(input: Int32, output: Int32, error: Int32)
    /// A terminal of the sandbox's own; its other side comes back with the started sandbox.
    case terminal(rows: UInt16, columns: UInt16)
}

/// What a made sandbox waits for: the last that its command needs before it is exec'ed. One packet with descriptors.
struct LaunchOrder {
    /// `NAME=VALUE`, complete.
    let environment: [String]
    let streams: SandboxStreams

    /// What is sent. The descriptors stay the caller's.
    var packet: (bytes: [UInt8], descriptors: [Int32]) {
        var writer = WireWriter()
        var descriptors: [Int32] = []
        switch streams {
        case .descriptors(let input, let output, let error):
            writer.write(UInt8(0))
            descriptors = [input, output, error]
        case .terminal(let rows, let columns):
            writer.write(UInt8(1))
            writer.write(rows)
            writer.write(columns)
        }
        writer.write(environment)
        return (writer.bytes, descriptors)
    }

    /// Waits for it; nil when the warden has let the sandbox go. The descriptors are this process's own then.
    static func receive(from socket: Int32) throws(SystemError) -> LaunchOrder? {
        let length = try Socket.nextPacketLength(socket)
        guard let packet = try Socket.receivePacket(socket, capacity: max(1, length)), !packet.bytes.isEmpty else {
            return nil
        }
        var reader = WireReader(packet.bytes)
        do throws(WireError) {
            let streams: SandboxStreams
            switch try reader.read(UInt8.self) {
            case 0:
                guard packet.descriptors.count == 3 else { throw WireError("no three streams") }
                streams = .descriptors(
                    input: packet.descriptors[0], output: packet.descriptors[1], error: packet.descriptors[2])
            default:
                streams = .terminal(rows: try reader.read(UInt16.self), columns: try reader.read(UInt16.self))
            }
            return LaunchOrder(environment: try reader.readTexts(limit: 1024, each: 64 << 10), streams: streams)
        } catch { throw SystemError(EBADMSG, "the launch order: \(error)") }
    }
}

/// What a process that was made for no image waits for first: what it is to become. One packet; the mounts follow, each in
/// one of its own.
struct FurnishOrder {
    let plan: SandboxPlan
    /// A /dev with the devices that the plan adds, the receiver's own then; nil where it adds none.
    let devices: Int32?

    /// A plan has up to 256 words of 4 KiB, and its environment and filter besides.
    static let bytesMax: Int32 = 4 << 20

    var bytes: [UInt8] {
        var writer = WireWriter()
        plan.encode(into: &writer)
        return writer.bytes
    }

    /// Waits for it; nil when the warden has let the sandbox go.
    static func receive(from socket: Int32) throws(SystemError) -> FurnishOrder? {
        let length = try Socket.nextPacketLength(socket)
        guard let packet = try Socket.receivePacket(socket, capacity: max(1, length)), !packet.bytes.isEmpty else {
            return nil
        }
        var reader = WireReader(packet.bytes)
        do throws(WireError) {
            return FurnishOrder(plan: try SandboxPlan(from: &reader), devices: packet.descriptors.first)
        } catch { throw SystemError(EBADMSG, "the plan: \(error)") }
    }
}
