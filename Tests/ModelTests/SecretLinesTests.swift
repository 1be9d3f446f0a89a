import Model
import Testing

/// Files of secrets, as a person writes them.
@Suite struct SecretLinesTests {
    @Test("Names, comments, blank lines and line ends of any system are understood")
    func understood() throws {
        let text = "# who may call\n\nci 0123456789abcdef\r\n\t ~~~~~~~~~~~~~~~~ \n  # no more\nops\tFEDCBA9876543210"
        #expect(
            try SecretLines(parsing: text).lines == [
                .init(name: "ci", secret: "0123456789abcdef", number: 3),
                .init(name: nil, secret: "~~~~~~~~~~~~~~~~", number: 4),
                .init(name: "ops", secret: "FEDCBA9876543210", number: 6),
            ])
    }

    @Test(
        "What is wrong is named by its line, and the secret is not repeated",
        arguments: [
            ("# nothing\n\n", "the file"), ("", "the file"), ("a 0123456789abcdef\nshort-one", "line 2"),
            ("a b 0123456789abcdef", "line 1"), ("\nöööööööööööööööö", "line 2"),
            ("a 0123456789abcdef\nb 0123456789abcdef", "line 2"), (String(repeating: "x", count: 257), "line 1"),
        ])
    func refused(_ text: String, _ field: String) throws {
        let error = try #require(throws: InvalidValue.self) { try SecretLines(parsing: text) }
        #expect(error.field == field)
        for word in text.split(whereSeparator: \.isWhitespace) where word.count > 4 && word != "nothing" {
            #expect(!error.description.contains(word), "\(error)")
        }
    }

    @Test("The shortest and the longest secret are taken", arguments: [16, 256])
    func bounds(_ length: Int) throws {
        let secret = String(repeating: "s", count: length)
        #expect(try SecretLines(parsing: secret).lines.map(\.secret) == [secret])
    }
}
