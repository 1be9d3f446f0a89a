import Glibc
import Sandbox
import Warden

/// `plane-warden run` without some of its defences, so that a test can see what each of them is good for.
///
/// It belongs to the tests: it is no product of the package, nothing installs it, and neither `plane` nor `plane-warden`
/// can leave a defence out. Its first word names the layers to leave out, with commas between them or `none`.
@main
struct WeakWarden {
    static func main() {
        let words = CommandLine.arguments
        if words.first == InitProcess.name { InitEntry.run(words) }
        do {
            let omitted = try layers(words.dropFirst().first ?? "")
            guard case .run(let configuration, let planDescriptor) = try WardenCommand(words.dropFirst(2)) else {
                throw UnknownWord(word: words.dropFirst(2).first ?? "")
            }
            exit(try SingleRun.run(planDescriptor: planDescriptor, configuration, omitting: omitted))
        } catch {
            let line = Array("plane-weak-warden: \(error)\n".utf8)
            _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
            exit(1)
        }
    }

    private static func layers(_ names: String) throws(UnknownWord) -> Set<SandboxLayer> {
        if names == "none" { return [] }
        var layers: Set<SandboxLayer> = []
        for name in names.split(separator: ",") {
            guard let layer = SandboxLayer(rawValue: String(name)) else { throw UnknownWord(word: String(name)) }
            layers.insert(layer)
        }
        return layers
    }
}

/// A word that means nothing here.
private struct UnknownWord: Error, CustomStringConvertible {
    let word: String

    var description: String {
        let known = SandboxLayer.allCases.map(\.rawValue).joined(separator: ",")
        return
            "usage: plane-weak-warden LAYERS run --plan-descriptor N …, not \"\(word)\"; the layers are none or \(known)"
    }
}
