"""Stand-ins for what Slicer has and the package slicer-core lacks: Qt as PythonQt shows it, ctk, the qMRML widgets, the
application, `parameterNodeWrapper`, `ScriptedLoadableModule` and `SampleData`.

They accept nothing that a running Slicer 5.13 did not list (`api.json`, cut by `make_api`), and they fail as PythonQt
fails: a property called like a method, an unknown attribute, a keyword for a constructor, a mistyped signal. Where a
stand-in lacks something that Slicer has, it raises `NotImplementedError`, never `AttributeError`.

Reading order: `api` (what exists), `pythonqt` (Qt objects shown as PythonQt shows them), `signals`, `natives` (ctk and
qMRML widgets drawn with PySide6), `qt_module`, `ui_loader`, `application`, `scripted_module`, `parameter_node`,
`install` (puts all of it in place), `segment_editor` (for tests that need one).
"""
