public import Model

extension PlanCompiler {
    /// A policy's text as it stands in its file, before it is read.
    public struct PolicyText: Sendable {
        /// How messages call the file.
        public var name: String
        /// Its JSON.
        public var text: [UInt8]

        /// - Parameters: as the properties say.
        public init(name: String, text: [UInt8]) {
            self.name = name
            self.text = text
        }
    }

    /// The text of the policy that an image runs under, for whoever changes it first. Without a file it is the empty
    /// object, which means the built-in policy.
    public static func policyText(
        of image: ImageName, in policiesPath: String, _ trust: FileTrust
    ) throws(PolicyError) -> PolicyText {
        for file in ["\(image).json", "default.json"] {
            let reader = TrustedFile(trust: trust, subject: "policy \(file)")
            if let text = try reader.read("\(policiesPath)/\(file)") { return PolicyText(name: file, text: text) }
        }
        return PolicyText(name: "default.json (built in)", text: Array("{}".utf8))
    }
}
