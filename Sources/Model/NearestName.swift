/// Finds what was probably meant by a word that is not known.
public enum NearestName {
    /// - Parameters:
    ///   - word: what was written.
    ///   - known: the words that would have been understood.
    /// - Returns: the known word that is nearest, if it is near enough to be worth saying.
    public static func find(_ word: String, among known: [String]) -> String? {
        // What is longer than any name is no slip of a key, and comparing costs the product of the lengths.
        guard word.utf8.count <= 64 else { return nil }
        let longer = known.filter { $0.hasPrefix(word) }
        if longer.count == 1 { return longer[0] }
        let near = known.map { (name: $0, distance: distance(word, $0)) }.min { $0.distance < $1.distance }
        guard let near, near.distance <= max(2, word.count / 3) else { return nil }
        return near.name
    }

    /// Least number of insertions, deletions, replacements and swaps of neighbours that make one of the other: the
    /// restricted Damerau-Levenshtein distance, three rows at a time.
    static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a.utf8)
        let b = Array(b.utf8)
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in 0..<a.count {
            var row = [i + 1]
            for j in 0..<b.count {
                var best = min(row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
                row.append(best)
            }
            (beforeLast, last) = (last, row)
        }
        return last[b.count]
    }
}
