import Testing

@testable import Model

@Suite("What was meant by a word that is not known")
struct NearestNameTests {
    private let flags = ["--image", "--rootfs", "--policy", "--proxy-port", "--proxy-host", "--help"]

    @Test(
        "The nearest word is found, and none that is far",
        arguments: [
            ("--imag", "--image"), ("--imgae", "--image"), ("--rootsf", "--rootfs"), ("--pol", "--policy"),
            ("--proxyport", "--proxy-port"), ("--hlep", "--help"), ("--entirely", nil), ("--x", nil),
        ])
    func find(word: String, nearest: String?) { #expect(NearestName.find(word, among: flags) == nearest) }

    @Test("The distance is 0 only to itself, the same both ways, and never longer than a detour over deletion")
    func properties() {
        let words = Self.words(upTo: 4, of: ["a", "b", "c"])
        for a in words {
            for b in words {
                let distance = NearestName.distance(a, b)
                #expect((distance == 0) == (a == b))
                #expect(distance == NearestName.distance(b, a))
                #expect(distance <= max(a.count, b.count) && distance >= abs(a.count - b.count))
            }
        }
        #expect(NearestName.distance("ab", "ba") == 1)
        #expect(NearestName.distance("abcd", "acbd") == 1)
        #expect(NearestName.distance("kitten", "sitting") == 3)
    }

    private static func words(upTo length: Int, of letters: [String]) -> [String] {
        var all = [""]
        var last = [""]
        for _ in 0..<length {
            last = last.flatMap { word in letters.map { word + $0 } }
            all += last
        }
        return all
    }
}
