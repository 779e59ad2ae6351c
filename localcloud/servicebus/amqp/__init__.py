"""The bus on the wire: connections, links and request/response nodes, with Proton as the engine."""
